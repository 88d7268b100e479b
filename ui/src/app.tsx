/** The shell around every page. */

import { useEffect, useState } from "preact/hooks";

import { Banners } from "./components/Banners";
import { Header } from "./components/Header";
import { Help } from "./components/Help";
import { Page } from "./components/Page";
import { href, navigate, path } from "./lib/router";
import { listenForKeys } from "./lib/keyboard";
import { PAGES } from "./pages";

export function App() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  useEffect(() => listenForKeys(() => setHelpOpen(true)), []);
  useEffect(() => {
    if (path.value === "/") navigate("/query", "replace");
  }, [path.value]);
  const page = PAGES.find((one) => one.path === path.value);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header onHelp={() => setHelpOpen(true)} />
      <Banners />
      {page ? <page.component key={page.path} /> : <NotFound />}
      {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
    </>
  );
}

function NotFound() {
  return (
    <Page title="No such page">
      <p>
        There is nothing at <code>{path.value}</code>.{" "}
        <a data-page href={href("/query")}>
          Go to the queries.
        </a>
      </p>
    </Page>
  );
}
