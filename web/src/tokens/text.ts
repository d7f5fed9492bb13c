/** How the tokens of a tokenizer make text: WordPiece marks continuations, the others mark spaces. */
export type Joining = 'wordpiece' | 'spaced';

/** A token as shown: what stands between it and the token before, and its own visible text. */
export interface Piece {
  gap: '' | ' ';
  text: string;
  breakAfter: boolean;
}

const CONTINUATION = /^##./;
const SPACE_MARK = /^[\sĠ▁]|[\nĊ]/;

/** Which of the two, from tokens that belong together; more of them make it surer. */
export function detectJoining(tokens: Iterable<string>): Joining {
  let spaced = false;
  for (const token of tokens) {
    if (CONTINUATION.test(token)) return 'wordpiece';
    if (SPACE_MARK.test(token)) spaced = true;
  }
  return spaced ? 'spaced' : 'wordpiece';
}

/** Byte-level and SentencePiece marks as the characters that they stand for. */
function unmark(token: string): string {
  return token
    .replaceAll(/[Ġ▁]/g, ' ')
    .replaceAll('Ċ', '\n')
    .replaceAll('ĉ', '\t')
    .replace(/^<0x0A>$/, '\n');
}

/** White space that would be lost to the eye as signs. */
const signs = (text: string) =>
  text
    .replaceAll('\n', '↵')
    .replaceAll('\t', '⇥')
    .replaceAll(/^ +| +$/g, (s) => '·'.repeat(s.length));

function spacedPiece(token: string, index: number): Piece {
  const text = unmark(token);
  const lead = text.length > 1 && text.startsWith(' ');
  return {
    gap: lead && index > 0 ? ' ' : '',
    text: signs(lead ? text.slice(1) : text),
    breakAfter: text.includes('\n'),
  };
}

const CLOSES = /^[,.;:!?%)\]}’”»…/_-]/u;
const OPENS = /[([{“‘«$/_-]$/u;
const DIGIT = /\d$/;
const LETTER = /^\p{L}$/u;
/** What may own something: an apostrophe behind it ends its word, as in “weeks’ rent”. */
const PLURAL = /.s$/;
const CONTRACTED = /^(?:s|t|d|m|ll|re|ve)$/;

/** Spaces as a reader sets them: WordPiece has thrown the text's own away. */
class WordpieceSpaces {
  private previous = '';
  private beforePrevious = '';
  private quoteOpen = false;

  gap(token: string): '' | ' ' {
    const gap = this.spaced(token) ? ' ' : '';
    if (token === '"') this.quoteOpen = !this.quoteOpen;
    this.beforePrevious = this.previous;
    this.previous = token;
    return gap;
  }

  private spaced(token: string): boolean {
    const { previous, beforePrevious } = this;
    if (previous === '' || CONTINUATION.test(token)) return false;
    if (token === '"') return !this.quoteOpen && !OPENS.test(previous);
    if (previous === '"') return !this.quoteOpen && !CLOSES.test(token);
    if (token === "'") return false;
    if (previous === "'") return PLURAL.test(beforePrevious) && !CONTRACTED.test(token);
    if (CLOSES.test(token) || OPENS.test(previous)) return false;
    const inNumber = /^[.,:]$/.test(previous) && DIGIT.test(beforePrevious) && /^\d/.test(token);
    const inAbbreviation = previous === '.' && LETTER.test(beforePrevious) && LETTER.test(token);
    return !inNumber && !inAbbreviation;
  }
}

export function layoutTokens(tokens: readonly string[], joining: Joining): Piece[] {
  if (joining === 'spaced') return tokens.map(spacedPiece);
  const spaces = new WordpieceSpaces();
  return tokens.map((token) => ({
    gap: spaces.gap(token),
    text: token.replace(/^##(?=.)/, ''),
    breakAfter: false,
  }));
}

/**
 * The beginning of a document as running text. The server sets a space between all words of
 * WordPiece, punctuation too, which is how to know it.
 */
export function layoutPreview(preview: string): string {
  if (!/\S [.,](?: |$)/.test(preview)) return preview;
  return layoutTokens(preview.split(' '), 'wordpiece')
    .map((piece) => piece.gap + piece.text)
    .join('');
}

/** A token by itself: its mark of joining apart from its text, so that it can be toned down. */
export function splitToken(token: string): { mark: string; text: string } {
  if (CONTINUATION.test(token)) return { mark: '##', text: token.slice(2) };
  const text = unmark(token);
  if (text.length > 1 && text.startsWith(' ')) return { mark: '·', text: signs(text.slice(1)) };
  return { mark: '', text: signs(text) };
}
