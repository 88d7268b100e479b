/** Data of the API in a component: asked again by the clock, kept while the server is away. */

import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, type Answer } from "./client";
import { returns } from "./connection";

export interface Fetched<T> {
  /** The newest answer; stays while later requests fail. */
  answer: Answer<T> | undefined;
  /** Why the newest request failed. */
  error: ApiError | undefined;
  isLoading: boolean;
  /** When the answer came, milliseconds since 1970. */
  at: number | undefined;
  reload: () => void;
}

interface Options {
  /** How often it is asked again. */
  everyMs?: number;
  /** What the question is about, if not its key: an answer about the same is shown until the next one is there. */
  about?: string;
}

/**
 * Asks when the component is shown and whenever `key` changes; null asks for nothing.
 * A request that is no longer wanted is aborted.
 */
export function useApi<T>(
  key: string | null,
  ask: (signal: AbortSignal) => Promise<Answer<T>>,
  { everyMs, about = key ?? "" }: Options = {},
): Fetched<T> {
  type State = Omit<Fetched<T>, "reload"> & { about: string };
  const [state, setState] = useState<State>({
    answer: undefined,
    error: undefined,
    isLoading: key !== null,
    at: undefined,
    about,
  });
  const [round, setRound] = useState(0);
  const asked = useRef(ask);
  asked.current = ask;
  // Read here, so that the component is drawn again when the server is back.
  const cameBack = returns.value;
  const failed = state.error?.isPassing === true;

  useEffect(() => {
    if (key === null) return;
    const abort = new AbortController();
    // An answer to another question is not kept.
    setState((old) => ({ ...old, answer: old.about === about ? old.answer : undefined, isLoading: true, about }));
    asked.current(abort.signal).then(
      (answer) => {
        if (!abort.signal.aborted) setState({ answer, error: undefined, isLoading: false, at: Date.now(), about });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const shown = error instanceof ApiError ? error : new ApiError("page", String(error));
        setState((old) => ({ ...old, error: shown, isLoading: false }));
      },
    );
    return () => abort.abort();
  }, [key, round]);

  useEffect(() => {
    if (failed) setRound((n) => n + 1);
  }, [cameBack]);

  // Counted from the answer on: one that takes longer than this is waited for.
  useEffect(() => {
    if (everyMs === undefined || key === null || state.isLoading) return;
    const again = () => {
      // A page in the background asks for nothing.
      if (document.visibilityState === "visible") setRound((n) => n + 1);
    };
    const timer = setInterval(again, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, key, state.isLoading]);

  return { ...state, reload: () => setRound((n) => n + 1) };
}
