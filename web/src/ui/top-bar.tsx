import { paths, type Route } from '../router';
import { cycleTheme, useTheme } from '../theme';
import { Link } from './link';

function Crumbs({ route }: { route: Route }) {
  if (!('sae' in route)) return null;
  const { page, sae } = route;
  return (
    <>
      <span aria-hidden="true">/</span>
      <Link to={paths.latents(sae)} className="crumb-sae">
        {sae}
      </Link>
      <span className="tabs">
        <Link
          to={paths.latents(sae)}
          aria-current={page === 'latents' || page === 'latent' ? 'page' : undefined}
        >
          Latents
        </Link>
        <Link
          to={paths.documents(sae)}
          aria-current={page === 'documents' || page === 'document' ? 'page' : undefined}
        >
          Documents
        </Link>
      </span>
    </>
  );
}

export function TopBar({ route }: { route: Route }) {
  const theme = useTheme();
  const scheme = theme === 'system' ? 'auto' : theme;
  return (
    <header className="top-bar">
      <nav aria-label="Main">
        <Link to={paths.saes()} className="brand">
          sae
        </Link>
        <Crumbs route={route} />
      </nav>
      <button
        type="button"
        className="quiet scheme"
        onClick={cycleTheme}
        aria-label={`Colour scheme: ${scheme}`}
        title="Change the colour scheme"
      >
        <span>Colour scheme: </span>
        {scheme}
      </button>
    </header>
  );
}
