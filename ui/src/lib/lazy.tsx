/** Components whose code is loaded when they are first shown. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A component in place of one that is loaded when it is shown; nothing until then, and a sentence if it cannot be had. */
export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let loaded: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [Shown, setShown] = useState<ComponentType<P> | undefined>(() => loaded);
    const [isFailed, setFailed] = useState(false);
    useEffect(() => {
      if (Shown) return;
      load().then(
        (module) => {
          loaded = module.default;
          setShown(() => module.default);
        },
        // Another release has other files: only loading the page anew helps.
        () => setFailed(true),
      );
    }, []);
    if (isFailed)
      return <p role="alert">This part of the page cannot be loaded. Reload the page: the server may have another version.</p>;
    return Shown ? <Shown {...props} /> : null;
  };
}
