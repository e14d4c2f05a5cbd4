/** Runs before the client, and keeps what it opens: so a test sees it from outside. */
const opened = { RTCPeerConnection: [], WebSocket: [], AudioContext: [], tracks: [], timers: new Set() };
/** What the server has said on WebSockets, each message with its time. */
const signals = [];

for (const name of ['AudioContext', 'RTCPeerConnection', 'WebSocket']) {
  const Original = window[name];
  window[name] = class extends Original {
    constructor(...options) {
      super(...options);
      opened[name].push(this);
      if (name === 'WebSocket') this.addEventListener('message', ({ data }) => signals.push({ at: performance.now(), ...JSON.parse(data) }));
    }
  };
}

/** A test that stands between us and the server rewrites the server's addresses. */
const { setRemoteDescription } = RTCPeerConnection.prototype;
window.RTCPeerConnection.prototype.setRemoteDescription = async function ({ type, sdp }) {
  return setRemoteDescription.call(this, { type, sdp: await (window.rewriteAnswer?.(sdp) ?? sdp) });
};

const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (constraints) => {
  const stream = await getUserMedia(constraints);
  opened.tracks.push(...stream.getTracks());
  return stream;
};

for (const kind of ['Timeout', 'Interval']) {
  const set = window[`set${kind}`];
  const clear = window[`clear${kind}`];
  window[`set${kind}`] = (run, ms) => {
    const timer = set(() => {
      if (kind === 'Timeout') opened.timers.delete(timer);
      run();
    }, ms);
    opened.timers.add(timer);
    return timer;
  };
  window[`clear${kind}`] = (timer) => {
    opened.timers.delete(timer);
    clear(timer);
  };
}
