import {
  elementScroll,
  observeElementOffset,
  useVirtualizer,
  type Virtualizer,
} from '@tanstack/react-virtual';
import {
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type ReactNode,
} from 'react';

/** Browsers clip elements that are taller than this or a little more. */
const MAX_HEIGHT = 12_000_000;
const OVERSCAN = 8;

/** Rows to hold the place of a list that is not there yet. */
export const UNKNOWN_TOTAL = 30;

type List = Virtualizer<HTMLDivElement, Element>;

/** Rows' pixels per pixel of the scroll bar: 1 until the rows are taller than an element may be. */
function scaleOf(list: List): number {
  const { count, estimateSize } = list.options;
  const full = count * estimateSize(0);
  const view = list.scrollElement?.clientHeight ?? 0;
  return full <= MAX_HEIGHT ? 1 : (full - view) / (MAX_HEIGHT - view);
}

interface Props {
  id: string;
  label: string;
  total: number;
  rowHeight: number;
  columns: number;
  head: ReactNode;
  busy: boolean;
  /** The cells of a row; undefined rows are being fetched. */
  row: (index: number) => ReactNode;
  onOpen: (index: number) => void;
  /** Which rows show, so that they can be fetched. */
  onRange: (first: number, last: number) => void;
  /** Lists with the same key come back to where they were scrolled. */
  memoryKey: string;
}

const scrolled = new Map<string, number>();

/** A grid of rows of one height, of which only those in view exist. */
export function VirtualList(props: Props) {
  const { id, total, rowHeight, row, onOpen, onRange, memoryKey } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);

  // eslint-disable-next-line react-hooks/incompatible-library -- nothing memoized takes it
  const list = useVirtualizer<HTMLDivElement, Element>({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    observeElementOffset: (instance, tell) =>
      observeElementOffset(instance, (offset, moving) => tell(offset * scaleOf(instance), moving)),
    scrollToFn: (offset, options, instance) =>
      elementScroll(offset / scaleOf(instance), options, instance),
  });

  const items = list.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => onRange(first, last), [onRange, first, last]);
  useEffect(() => list.measure(), [list, rowHeight]);

  // A layout effect, for its end still sees where the list was scrolled.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    element.scrollTop = scrolled.get(memoryKey) ?? 0;
    return () => {
      scrolled.set(memoryKey, element.scrollTop);
    };
  }, [memoryKey]);

  const reveal = (index: number) => {
    const element = scroller.current;
    if (element === null) return;
    const scale = scaleOf(list);
    const head = element.querySelector('[role=row]')?.clientHeight ?? 0;
    const top = element.scrollTop * scale;
    const view = element.clientHeight - head;
    const start = index * rowHeight;
    if (start < top) element.scrollTop = start / scale;
    else if (start + rowHeight > top + view) {
      element.scrollTop = Math.ceil((start + rowHeight - view) / scale);
    }
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== scroller.current || total === 0) return;
    const page = Math.max(1, Math.floor(scroller.current.clientHeight / rowHeight) - 2);
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: total - 1,
    };
    const move = moves[event.key];
    if (event.key === 'Enter') onOpen(active);
    else if (move !== undefined) {
      const next = Math.max(0, Math.min(total - 1, move));
      setActive(next);
      reveal(next);
    } else return;
    event.preventDefault();
  };

  const offset = list.scrollOffset ?? 0;
  const shift = offset / scaleOf(list) - offset;
  const rowId = (index: number) => `${id}-row-${index}`;
  return (
    <div
      className="grid"
      role="grid"
      id={id}
      ref={scroller}
      tabIndex={0}
      aria-label={props.label}
      aria-rowcount={total + 1}
      aria-colcount={props.columns}
      aria-busy={props.busy}
      aria-activedescendant={items.some((i) => i.index === active) ? rowId(active) : undefined}
      onKeyDown={onKeyDown}
    >
      <div className="grid-row grid-head" role="row" aria-rowindex={1}>
        {props.head}
      </div>
      <div
        className="grid-body"
        role="rowgroup"
        style={{ height: Math.min(total * rowHeight, MAX_HEIGHT) }}
      >
        {items.map(({ index, start }) => (
          <div
            className="grid-row"
            role="row"
            key={index}
            id={rowId(index)}
            aria-rowindex={index + 2}
            data-active={index === active || undefined}
            style={{ height: rowHeight, transform: `translateY(${start + shift}px)` }}
          >
            {row(index)}
          </div>
        ))}
      </div>
    </div>
  );
}
