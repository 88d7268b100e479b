/** A proxy that cuts the beginning of paths off, as many clusters have in front of their servers. */

import { createServer, request } from "node:http";

export function stripping(prefix, target) {
  const server = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) return outgoing.writeHead(404).end();
    const { hostname, port } = new URL(target);
    const { url, method, headers } = incoming;
    const inner = request({ hostname, port, path: url.slice(prefix.length), method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    inner.on("error", () => outgoing.destroy());
    incoming.pipe(inner);
  });
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const close = () => {
        server.close();
        server.closeAllConnections();
      };
      done({ address: `http://127.0.0.1:${server.address().port}${prefix}`, close });
    });
  });
}
