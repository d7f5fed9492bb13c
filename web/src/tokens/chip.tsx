import { splitToken } from './text';

export const containsText = (token: string, text: string) =>
  text !== '' && token.toLowerCase().includes(text.toLowerCase());

/** A token by itself, marked when the text `found` is in it. */
export function TokenChip({ token, found = '' }: { token: string; found?: string }) {
  const { mark, text } = splitToken(token);
  return (
    <span className="chip" data-found={containsText(token, found) || undefined}>
      {mark !== '' && <span className="mark">{mark}</span>}
      {text}
    </span>
  );
}
