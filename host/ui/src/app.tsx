/** The whole page: log-in, or the frame with the view that the address names. */
import { useEffect } from 'preact/hooks';
import { report } from './lib/notices';
import { connect, disconnect } from './lib/live';
import { route } from './lib/route';
import { resume, session } from './lib/session';
import { Confirmation } from './parts/dialog';
import { Frame } from './parts/frame';
import { lazy } from './parts/lazy';
import { Notices } from './parts/notices';
import { Waiting } from './parts/status';
import { T } from './texts';
import { Login } from './views/login';
import { Videos } from './views/videos';

const UNREACHABLE_RETRY_MS = 3000;

const Video = lazy(() => import('./views/video').then((module) => module.VideoView));
const Search = lazy(() => import('./views/search').then((module) => module.Search));
const People = lazy(() => import('./views/people').then((module) => module.People));
const Tune = lazy(() => import('./views/tune').then((module) => module.Tune));
const Deliveries = lazy(() => import('./views/deliveries').then((module) => module.Deliveries));
const Plugins = lazy(() => import('./views/plugins').then((module) => module.Plugins));
const System = lazy(() => import('./views/system').then((module) => module.System));

function View() {
  const [name = 'videos', argument] = route.value.path;
  switch (name) {
    case 'videos':
      return argument ? <Video key={argument} id={Number(argument)} /> : <Videos />;
    case 'search':
      return <Search />;
    case 'people':
      return <People cluster={argument ?? null} />;
    case 'tune':
      return <Tune id={argument ? Number(argument) : null} />;
    case 'deliveries':
      return <Deliveries id={argument ? Number(argument) : null} />;
    case 'plugins':
      return <Plugins />;
    case 'system':
      return <System />;
    default:
      return <Videos />;
  }
}

export function App() {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const begin = () =>
      resume().catch((cause: unknown) => {
        report(cause);
        timer = setTimeout(begin, UNREACHABLE_RETRY_MS);
      });
    void begin();
    return () => clearTimeout(timer);
  }, []);
  const who = session.value;
  const isIn = Boolean(who);
  useEffect(() => {
    if (!isIn) return;
    connect();
    return disconnect;
  }, [isIn]);

  return (
    <>
      {who === undefined && (
        <div class="alone">
          <Waiting>{T.starting}</Waiting>
        </div>
      )}
      {who === null && <Login />}
      {who && (
        <Frame>
          <View />
        </Frame>
      )}
      <Notices />
      <Confirmation />
    </>
  );
}
