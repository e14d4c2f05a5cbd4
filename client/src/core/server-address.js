/**
 * The addresses of a server, from any of its URLs: `https://host`, `wss://host`, with or without a path.
 * @param {string} serverUrl
 */
export function serverAddress(serverUrl) {
  const url = new URL(serverUrl);
  if (!['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) throw new TypeError(`not the URL of a server: ${serverUrl}`);
  const isSecure = url.protocol === 'https:' || url.protocol === 'wss:';
  const rest = `${url.host}${url.pathname.replace(/\/+$/, '')}`;
  return { http: `http${isSecure ? 's' : ''}://${rest}`, webSocket: `ws${isSecure ? 's' : ''}://${rest}` };
}
