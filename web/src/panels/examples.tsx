import { useMemo } from 'react';
import type { ExampleGroup, LatentPage } from '../api/types';
import { formatCount, formatValue } from '../format';
import { DEFAULTS, MAX_CONTEXT, MAX_PER_GROUP, readExampleOptions } from '../pages/example-options';
import { setSearch, useSearch } from '../router';
import { detectJoining } from '../tokens/text';
import { Field } from '../ui/field';
import { Panel } from '../ui/panel';
import { Note } from '../ui/states';
import { ExampleItem } from './example';

const checkInt = (min: number, max: number) => (text: string) =>
  /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max
    ? null
    : `A whole number from ${min} to ${max}`;

function Controls() {
  const options = readExampleOptions(useSearch());
  const set = (name: keyof typeof DEFAULTS) => (text: string) =>
    setSearch({ [name]: Number(text) === DEFAULTS[name] ? null : Number(text) });
  const number = (
    label: string,
    name: 'before' | 'after' | 'per_group',
    min: number,
    max: number,
  ) => (
    <Field
      label={label}
      type="number"
      min={min}
      max={max}
      width="6rem"
      value={String(options[name])}
      check={checkInt(min, max)}
      onChange={set(name)}
    />
  );
  return (
    <div className="toolbar">
      {number('Tokens before', 'before', 0, MAX_CONTEXT)}
      {number('Tokens after', 'after', 0, MAX_CONTEXT)}
      {number('Per group', 'per_group', 1, MAX_PER_GROUP)}
      <button
        type="button"
        title="Draw other examples for the random and the quantile groups"
        onClick={() => setSearch({ seed: options.seed + 1 }, { replace: false })}
      >
        Draw again
      </button>
    </div>
  );
}

const isWhole = (group: ExampleGroup) => group.examples.length >= group.n;

/** What the group's examples were taken from, so that nobody takes a draw for the whole. */
function population(group: ExampleGroup): string {
  const range = `${formatValue(group.low)} to ${formatValue(group.high)}`;
  const sorted =
    group.low > group.high ? `${formatValue(group.high)} to ${formatValue(group.low)}` : range;
  if (group.id === 'top') return `activations ${sorted}`;
  const n = formatCount(group.n);
  const drawn = isWhole(group)
    ? `all ${n} firings`
    : `${group.examples.length} drawn from ${n} firings`;
  return `${drawn} · activations ${sorted}`;
}

export function ExamplesPanel({ sae, page }: { sae: string; page: LatentPage }) {
  const { examples: groups, statistics, latent } = page;
  const joining = useMemo(
    () => detectJoining(groups.flatMap((g) => g.examples.flatMap((example) => example.tokens))),
    [groups],
  );
  return (
    <Panel id="examples" title="Examples" aside={<Controls />}>
      {groups.length === 0 && <Note>This latent never fires, so there is nothing to show.</Note>}
      {groups.map((group) => (
        <section
          className="example-group"
          key={`${group.id} ${group.rank_from} ${group.rank_to}`}
          data-group={group.id}
        >
          <h3>
            {group.title} <span className="muted">{population(group)}</span>
          </h3>
          <ol className="examples">
            {group.examples.map((example) => (
              <ExampleItem
                key={example.row}
                sae={sae}
                latent={latent}
                example={example}
                max={statistics.max}
                joining={joining}
              />
            ))}
          </ol>
        </section>
      ))}
    </Panel>
  );
}
