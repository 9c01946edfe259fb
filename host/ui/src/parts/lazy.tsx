/** Views that are loaded when they are first shown. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { report } from '../lib/notices';
import { T } from '../texts';
import { Waiting } from './status';

const RELOADED = 'ocellus.reloaded';

export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [, update] = useState(0);
    useEffect(() => {
      if (loaded) return;
      load().then(
        (view) => {
          loaded = view;
          sessionStorage.removeItem(RELOADED);
          update(1);
        },
        (cause: unknown) => {
          // A newer server has its files under other names: the page is read anew, once.
          if (sessionStorage.getItem(RELOADED)) return report(cause);
          sessionStorage.setItem(RELOADED, '1');
          location.reload();
        },
      );
    }, []);
    const View = loaded;
    return View ? <View {...props} /> : <Waiting>{T.loadingView}</Waiting>;
  };
}
