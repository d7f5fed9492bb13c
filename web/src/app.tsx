import { useEffect, useRef } from 'react';
import { DocumentPage } from './pages/document';
import { DocumentsPage } from './pages/documents';
import { LatentPage } from './pages/latent';
import { LatentsPage } from './pages/latents';
import { NotFoundPage } from './pages/not-found';
import { SaesPage } from './pages/saes';
import { matchRoute, usePathname, type Route } from './router';
import { TopBar } from './ui/top-bar';
import { hideTip, TipLayer } from './ui/tip';

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'saes':
      return <SaesPage />;
    case 'latents':
      return <LatentsPage key={route.sae} sae={route.sae} />;
    case 'latent':
      return <LatentPage sae={route.sae} latent={route.latent} />;
    case 'documents':
      return <DocumentsPage key={route.sae} sae={route.sae} />;
    case 'document':
      return <DocumentPage sae={route.sae} docId={route.docId} />;
    case 'not-found':
      return <NotFoundPage />;
  }
}

export function App() {
  const pathname = usePathname();
  const route = matchRoute(pathname);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(route.page);

  useEffect(hideTip, [pathname]);
  // A new kind of page starts at its top and takes the focus; the next latent keeps both.
  useEffect(() => {
    if (shown.current === route.page) return;
    shown.current = route.page;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [route.page]);

  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <TopBar route={route} />
      <main id="main" ref={main} tabIndex={-1} data-page={route.page}>
        <Page route={route} />
      </main>
      <TipLayer />
    </>
  );
}
