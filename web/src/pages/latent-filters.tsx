import type { LatentFilter } from '../api/queries';
import { formatCount, parseDensity } from '../format';
import { navigate, paths, setSearch, useSearch } from '../router';
import { Field } from '../ui/field';

const checkDensity = (text: string) =>
  parseDensity(text) === undefined
    ? 'A density between 0 and 1, such as 0.5%, 0.005 or 5e-3'
    : null;

function Jump({ sae, dSae }: { sae: string; dSae: number | null }) {
  return (
    <form
      className="jump"
      onSubmit={(event) => {
        event.preventDefault();
        const latent = new FormData(event.currentTarget).get('latent');
        if (typeof latent === 'string' && latent !== '')
          navigate(paths.latent(sae, Number(latent)));
      }}
    >
      <label className="field">
        <span>Go to latent</span>
        <input
          name="latent"
          type="number"
          min={0}
          max={dSae === null ? undefined : dSae - 1}
          placeholder="number"
          required
        />
      </label>
      <button type="submit">Go</button>
    </form>
  );
}

interface Props {
  sae: string;
  filter: LatentFilter;
  dSae: number | null;
  total: number | undefined;
}

export function LatentFilters({ sae, filter, dSae, total }: Props) {
  const params = useSearch();
  return (
    <div className="toolbar" role="search" aria-label="Filter latents">
      <Field
        label="Top token contains"
        type="search"
        placeholder="text"
        width="12rem"
        value={filter.token}
        onChange={(token) => setSearch({ token })}
      />
      <div className="range">
        <Field
          label="Density from"
          placeholder="0.01%"
          width="6.5rem"
          value={params.get('min_density') ?? ''}
          check={checkDensity}
          onChange={(text) => setSearch({ min_density: text })}
        />
        <Field
          label="Density to"
          placeholder="10%"
          width="6.5rem"
          value={params.get('max_density') ?? ''}
          check={checkDensity}
          onChange={(text) => setSearch({ max_density: text })}
        />
      </div>
      <label className="check">
        <input
          type="checkbox"
          checked={filter.alive}
          onChange={(event) => setSearch({ alive: event.target.checked })}
        />
        Hide dead
      </label>
      <Jump sae={sae} dSae={dSae} />
      <output className="count" aria-live="polite">
        {total === undefined ? '' : `${formatCount(total)} ${total === 1 ? 'latent' : 'latents'}`}
      </output>
    </div>
  );
}
