import { splitToken } from './text';

/** A token by itself. `found` marks the part of it that was searched for. */
export function TokenChip({ token, found = '' }: { token: string; found?: string }) {
  const { mark, text } = splitToken(token);
  const isFound = found !== '' && token.toLowerCase().includes(found.toLowerCase());
  return (
    <span className="chip" data-found={isFound || undefined}>
      {mark !== '' && <span className="mark">{mark}</span>}
      {text}
    </span>
  );
}
