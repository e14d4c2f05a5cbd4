/** A caller whose microphone says what a test gives it, and that keeps what it said, heard, sent and was told. */
const RATE = 48_000;
const LOUD = 300; // of 32,767: the RMS level of 20 ms that is certainly not silence

export class Peer {
  constructor({ signalingUrl, agentId, configuration, records }) {
    this.signalingUrl = signalingUrl;
    this.agentId = agentId;
    this.records = records;
    this.connection = new RTCPeerConnection(configuration ?? {});
    this.context = new AudioContext({ sampleRate: RATE });
    this.states = [];
    this.connection.onconnectionstatechange = () => this.states.push(this.connection.connectionState);
    this.events = [];
    this.packets = [];
    this.said = [];
    this.heard = [];
    this.loudPieces = 0;
    this.quietPieces = 0;
  }

  /** Resolves when the data channel is open, or to what the server refused the call with. */
  async connect() {
    await this.context.resume();
    this.microphone = new MediaStreamAudioDestinationNode(this.context, { channelCount: 1 });
    this.makeRoom();
    this.recorder = await this.makeRecorder();
    this.track = this.microphone.stream.getAudioTracks()[0];
    this.sender = this.connection.addTrack(this.track, this.microphone.stream);
    this.watchPackets();
    this.connection.ontrack = ({ streams }) => this.listen(streams[0]);
    this.channel = this.connection.createDataChannel('control');
    const opened = new Promise((resolve) => { this.channel.onopen = resolve; });
    this.socket = new WebSocket(this.signalingUrl);
    await new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error('no signaling'));
    });
    this.socket.onmessage = ({ data }) => this.onSignal(JSON.parse(data));
    try {
      await this.negotiate();
    } catch (refusal) {
      return refusal;
    }
    await opened;
    return null;
  }

  /** A room is never silent, and WebAudio sends nothing at all while nothing sounds. */
  makeRoom() {
    const buffer = new AudioBuffer({ length: RATE, sampleRate: RATE });
    buffer.copyToChannel(Float32Array.from({ length: RATE }, () => (Math.random() - 0.5) * 1e-4), 0);
    const room = new AudioBufferSourceNode(this.context, { buffer, loop: true });
    room.connect(this.microphone);
    room.start();
  }

  async makeRecorder() {
    if (!this.records) return null;
    await this.context.audioWorklet.addModule('recorder.js');
    const recorder = new AudioWorkletNode(this.context, 'recorder', {
      numberOfInputs: 2, channelCount: 1, channelCountMode: 'explicit',
    });
    recorder.port.onmessage = ({ data }) => this.onPiece(data);
    recorder.connect(this.context.destination);
    return recorder;
  }

  listen(stream) {
    // Chromium gives WebAudio a remote stream's sound only while an element plays it.
    document.getElementById('remoteAudio').srcObject = stream;
    if (this.recorder) this.context.createMediaStreamSource(stream).connect(this.recorder, 0, 1);
  }

  watchPackets() {
    const worker = new Worker('packets.js');
    worker.onmessage = ({ data }) => this.packets.push(data);
    this.sender.transform = new RTCRtpScriptTransform(worker, {});
  }

  async negotiate() {
    const answered = new Promise((resolve, reject) => { this.onAnswer = resolve; this.onRefusal = reject; });
    await this.connection.setLocalDescription(await this.connection.createOffer());
    this.socket.send(JSON.stringify({
      type: 'offer', sdp: this.connection.localDescription.sdp, agentId: this.agentId,
    }));
    await this.connection.setRemoteDescription({ type: 'answer', sdp: await answered });
  }

  async restartIce() {
    this.connection.restartIce();
    await this.negotiate();
  }

  onSignal(message) {
    this.events.push(message);
    if (message.type === 'answer') this.onAnswer(message.sdp);
    if (message.type === 'error') this.onRefusal(message);
  }

  onPiece({ said, heard }) {
    this.said.push(said);
    this.heard.push(heard);
    const level = Math.sqrt(heard.reduce((sum, sample) => sum + sample * sample, 0) / heard.length);
    if (level > LOUD) {
      this.loudPieces += 1;
      this.quietPieces = 0;
    } else {
      this.quietPieces += 1;
    }
  }

  type(text) {
    this.channel.send(JSON.stringify({ type: 'text', text }));
  }

  get status() {
    return this.events.filter(({ type }) => type === 'status').at(-1)?.status;
  }

  get answers() {
    return this.events.filter(({ type, role }) => type === 'transcript' && role === 'agent').length;
  }

  /** 48 kHz mono, 16 bit, in base64. Resolves when it is said. */
  async say(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const samples = Float32Array.from(new Int16Array(bytes.buffer), (sample) => sample / 32768);
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.microphone);
    if (this.recorder) source.connect(this.recorder, 0, 0);
    source.start();
    await new Promise((resolve) => { source.onended = resolve; });
  }

  get recordedMs() { return this.heard.length * 20; }
  get loudMs() { return this.loudPieces * 20; }
  get quietMs() { return this.quietPieces * 20; }

  /** 'said' or 'heard' from then on, 48 kHz mono, 16 bit, in base64. */
  recording(side, fromMs) {
    const pieces = this[side].slice(fromMs / 20);
    let text = '';
    for (const piece of pieces) text += String.fromCharCode(...new Uint8Array(piece.buffer));
    return btoa(text);
  }

  async stats(type) {
    const report = [...(await this.connection.getStats()).values()];
    return report.filter((entry) => entry.type === type);
  }

  /** The ICE user name fragment of 'localDescription' or 'remoteDescription'. */
  fragment(side) {
    return /^a=ice-ufrag:(\S+)/m.exec(this.connection[side].sdp)[1];
  }

  /** The candidate pair in use is one of the last offer; Chromium may have begun it before the answer came. */
  async isOnNewestPath() {
    const path = await this.path();
    return path?.localFragment === this.fragment('localDescription');
  }

  /** The candidate pair in use: our candidate, and the fragments of both sides. */
  async path() {
    const report = await this.connection.getStats();
    const transport = [...report.values()].find((entry) => entry.type === 'transport');
    const pair = report.get(transport.selectedCandidatePairId);
    const local = pair && report.get(pair.localCandidateId);
    const remote = pair && report.get(pair.remoteCandidateId);
    return pair && {
      pair: pair.id,
      type: local.candidateType,
      address: `${local.address}:${local.port}`,
      relayProtocol: local.relayProtocol,
      localFragment: local.usernameFragment,
      remoteFragment: remote.usernameFragment,
      remoteAddress: `${remote.address}:${remote.port}`,
    };
  }

  close() {
    this.connection.close();
    this.socket?.close();
  }
}
