import { describe, expect, it } from 'vitest';
import { detectJoining, layoutPreview, layoutTokens, splitToken, type Joining } from './text';

const shown = (tokens: string[], joining: Joining = detectJoining(tokens)) =>
  layoutTokens(tokens, joining)
    .map((piece) => piece.gap + piece.text)
    .join('');

describe('detectJoining', () => {
  it('knows WordPiece by its continuations, even among letters that look like marks', () => {
    expect(detectJoining(['Ġgantija', 'read', '##ing'])).toBe('wordpiece');
  });
  it.each([[[' the']], [['▁the']], [['Ġthe']], [['x', '\n']], [['Ċ']]])(
    'knows spaced tokens by their marks: %j',
    (tokens) => {
      expect(detectJoining(tokens)).toBe('spaced');
    },
  );
  it('takes tokens without any mark for words', () => {
    expect(detectJoining(['a', 'b'])).toBe('wordpiece');
  });
});

describe('layoutTokens of WordPiece', () => {
  it.each([
    [['read', '##ing', 'is', 'fun', '.'], 'reading is fun.'],
    [['don', "'", 't', '(', 'ever', ')', '!'], "don't (ever)!"],
    [['3', '.', '14', 'or', '1', ',', '000'], '3.14 or 1,000'],
    [['end', '.', 'next'], 'end. next'],
    [['he', 'said', '"', 'no', '"', '.'], 'he said "no".'],
    [['well', '-', 'known', 'and', '/', 'or'], 'well-known and/or'],
    [['##ing', 'it'], 'ing it'],
    [['##'], '##'],
    [['five', 'weeks', "'", 'rent'], "five weeks' rent"],
    [['j', "'", 'ai'], "j'ai"],
    [['it', "'", 's', 'boss', "'", 's'], "it's boss's"],
    [['5', ':', '40', 'a', '.', 'm', '.', 'when'], '5:40 a.m. when'],
  ])('%j', (tokens, text) => {
    expect(shown(tokens, 'wordpiece')).toBe(text);
  });
});

describe('layoutTokens of spaced tokens', () => {
  it.each([
    [['The', ' cat', 's', '.'], 'The cats.'],
    [['The', 'Ġcat'], 'The cat'],
    [['▁The', '▁cat'], 'The cat'],
    [['a', '\n', 'b'], 'a↵b'],
    [['if', ':', 'Ċ', 'ĠĠĠ', 'Ġx'], 'if:↵ ·· x'],
    [['a', ' ', 'b'], 'a·b'],
    [['a', '\t'], 'a⇥'],
  ])('%j', (tokens, text) => {
    expect(shown(tokens, 'spaced')).toBe(text);
  });
  it('breaks the line after a newline', () => {
    const breaks = layoutTokens(['a', '\n', '<0x0A>', 'b'], 'spaced').map((p) => p.breakAfter);
    expect(breaks).toEqual([false, true, true, false]);
  });
  it('never gives an empty text, which nobody could point at', () => {
    for (const token of [' ', '  ', '\n', '\t', 'Ġ', '▁', 'Ċ', ' \n']) {
      expect(layoutTokens([token], 'spaced')[0]?.text).not.toBe('');
    }
  });
});

describe('layoutPreview', () => {
  it.each([
    ['one , well - known . sql : it', 'one, well-known. sql: it'],
    ['Already text, with a - dash.', 'Already text, with a - dash.'],
  ])('%j', (preview, text) => {
    expect(layoutPreview(preview)).toBe(text);
  });
});

describe('splitToken', () => {
  it.each([
    ['##ing', '##', 'ing'],
    [' the', '·', 'the'],
    ['Ġthe', '·', 'the'],
    ['the', '', 'the'],
    ['\n', '', '↵'],
    [' ', '', '·'],
    ['##', '', '##'],
  ])('%j', (token, mark, text) => {
    expect(splitToken(token)).toEqual({ mark, text });
  });
});
