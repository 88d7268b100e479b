/** The beginning. */

import { render } from "preact";

import { App } from "./app";
import { followLinks } from "./lib/router";
import { applyTheme } from "./lib/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/shell.css";
import "./styles/table.css";
import "./styles/facts.css";
import "./styles/lines.css";

applyTheme();
followLinks();
const place = document.getElementById("app");
if (place) render(<App />, place);
