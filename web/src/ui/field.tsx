import { useState, type ReactNode } from 'react';
import { useDebounced } from './debounce';

const WAIT_MS = 250;

interface Props {
  label: ReactNode;
  /** The value in force, as the URL has it. */
  value: string;
  onChange: (text: string) => void;
  /** What is wrong with a text, or null. A wrong text is shown as such and not sent. */
  check?: (text: string) => string | null;
  type?: 'text' | 'search' | 'number';
  placeholder?: string;
  min?: number;
  max?: number;
  width?: string;
}

/** A text field that tells once typing pauses, and follows the URL when that changes elsewhere. */
export function Field({ label, value, onChange, check, width, ...input }: Props) {
  const [draft, setDraft] = useState(value);
  const [told, setTold] = useState(value);
  if (value !== told) {
    setTold(value);
    setDraft(value);
  }
  const problem = check?.(draft) ?? null;
  const tell = useDebounced((text: string) => {
    setTold(text);
    onChange(text);
  }, WAIT_MS);
  return (
    <label className="field" style={{ width }}>
      <span>{label}</span>
      <input
        {...input}
        value={draft}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={problem !== null}
        title={problem ?? undefined}
        onChange={(event) => {
          const text = event.target.value;
          setDraft(text);
          if ((check?.(text) ?? null) === null) tell(text);
        }}
      />
    </label>
  );
}
