import { paths } from '../router';
import { Link } from '../ui/link';
import { useTitle } from '../ui/title';

export function NotFoundPage() {
  useTitle('Not found');
  return (
    <div className="page narrow">
      <h1>There is no such page</h1>
      <p>
        Nothing is at <code>{location.pathname}</code>. Latents are at{' '}
        <code>/saes/NAME/latents/NUMBER</code>, documents at{' '}
        <code>/saes/NAME/documents/NUMBER</code>.
      </p>
      <p>
        <Link to={paths.saes()}>All SAEs</Link>
      </p>
    </div>
  );
}
