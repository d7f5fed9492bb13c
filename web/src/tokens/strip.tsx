import {
  Fragment,
  memo,
  useState,
  type CSSProperties,
  type KeyboardEvent,
  type ReactNode,
  type SyntheticEvent,
} from 'react';
import { hideTip, showTip } from '../ui/tip';
import type { Piece } from './text';

interface Props {
  pieces: Piece[];
  /** One value per token; 0 leaves it unshaded. */
  values: number[];
  /** The value that is shaded in full. */
  max: number;
  /** What the tip of a token says. */
  describe: (index: number) => ReactNode;
  label: string;
  focus?: number;
  selected?: number;
  onSelect?: (index: number) => void;
  /** Break lines where the text does. */
  lines?: boolean;
  /** Ids of the tokens' elements, for links that land on one. */
  idOf?: (index: number) => string;
}

function shade(value: number, max: number): CSSProperties | undefined {
  if (value <= 0 || max <= 0) return undefined;
  // The floor keeps the weakest firing apart from none at all.
  const share = Math.min(1, 0.08 + 0.92 * (value / max));
  return { '--share': share.toFixed(3) } as CSSProperties;
}

function tokenAt(event: SyntheticEvent): { element: HTMLElement; index: number } | null {
  const element = (event.target as Element).closest<HTMLElement>('[data-token]');
  return element === null ? null : { element, index: Number(element.dataset.token) };
}

/** Tokens as running text, shaded by value. One tab stop; the arrow keys walk within. */
export const TokenStrip = memo(function TokenStrip(props: Props) {
  const { pieces, values, max, describe, focus, selected, onSelect } = props;
  const [walked, setWalked] = useState<number | null>(null);
  const stop = walked !== null && walked < pieces.length ? walked : (selected ?? focus ?? 0);

  const show = (event: SyntheticEvent) => {
    const token = tokenAt(event);
    if (token === null) hideTip();
    else showTip(token.element, describe(token.index));
  };

  const select = (event: SyntheticEvent) => {
    const token = tokenAt(event);
    if (token === null) return;
    setWalked(token.index);
    showTip(token.element, describe(token.index));
    onSelect?.(token.index);
  };

  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const token = tokenAt(event);
    if (token === null) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      select(event);
      return;
    }
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    // Also keeps the page's own arrow keys from changing the latent.
    event.preventDefault();
    const next = token.index + step;
    const element = event.currentTarget.querySelector<HTMLElement>(`[data-token="${next}"]`);
    if (element === null) return;
    setWalked(next);
    element.focus();
  };

  return (
    <p
      className="strip"
      role="group"
      aria-label={props.label}
      onPointerOver={show}
      onPointerLeave={hideTip}
      onFocus={show}
      onBlur={hideTip}
      onClick={select}
      onKeyDown={onKeyDown}
    >
      {pieces.map((piece, index) => (
        <Fragment key={index}>
          {piece.gap}
          <span
            className="token"
            data-token={index}
            data-focus={index === focus || undefined}
            data-selected={index === selected || undefined}
            id={props.idOf?.(index)}
            tabIndex={index === stop ? 0 : -1}
            style={shade(values[index] ?? 0, max)}
          >
            {piece.text}
          </span>
          {piece.breakAfter && props.lines === true && <br />}
        </Fragment>
      ))}
    </p>
  );
});
