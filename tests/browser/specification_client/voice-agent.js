class VoiceAgentClient {
constructor(config) {
this.serverUrl = config.serverUrl;
this.agentId = config.agentId;
this.peerConnection = null;
this.dataChannel = null;
this.localStream = null;
}
async connect() {
// Get microphone access
this.localStream = await navigator.mediaDevices.getUserMedia({
audio: {
echoCancellation: true,
noiseSuppression: true,
autoGainControl: true,
sampleRate: 48000,
},
video: false,
});
// Create peer connection
this.peerConnection = new RTCPeerConnection({
iceServers: [
{ urls: 'stun:stun.l.google.com:19302' },
],
});
// Add local audio track
this.localStream.getTracks().forEach(track => {
this.peerConnection.addTrack(track, this.localStream);
});
// Handle remote audio
this.peerConnection.ontrack = (event) => {
const remoteAudio = document.getElementById('remoteAudio');
remoteAudio.srcObject = event.streams[0];
};
// Create data channel for control messages
this.dataChannel = this.peerConnection.createDataChannel('control');
this.setupDataChannel();
// Handle ICE candidates
this.peerConnection.onicecandidate = (event) => {
if (event.candidate) {
this.sendSignaling({
type: 'ice-candidate',
candidate: event.candidate,
});
}
};
// Create and send offer
const offer = await this.peerConnection.createOffer();
await this.peerConnection.setLocalDescription(offer);
// Connect to signaling server
await this.connectSignaling();
this.sendSignaling({
type: 'offer',
sdp: offer.sdp,
agentId: this.agentId,
});
}
async connectSignaling() {
this.ws = new WebSocket(`${this.serverUrl}/signaling`);
this.ws.onmessage = async (event) => {
const message = JSON.parse(event.data);
await this.handleSignaling(message);
};
return new Promise((resolve) => {
this.ws.onopen = resolve;
});
}
async handleSignaling(message) {
switch (message.type) {
case 'answer':
await this.peerConnection.setRemoteDescription({
type: 'answer',
sdp: message.sdp,
});
break;
case 'ice-candidate':
await this.peerConnection.addIceCandidate(message.candidate);
break;
case 'transcript':
this.onTranscript(message);
break;
}
}
sendSignaling(message) {
this.ws.send(JSON.stringify(message));
}
setupDataChannel() {
this.dataChannel.onopen = () => {
console.log('Data channel opened');
};
this.dataChannel.onmessage = (event) => {
const message = JSON.parse(event.data);
this.handleControlMessage(message);
};
}
handleControlMessage(message) {
switch (message.type) {
case 'transcript':
console.log(`${message.role}: ${message.text}`);
break;
case 'status':
document.getElementById('status').textContent = message.status;
break;
}
}
onTranscript(data) {
console.log(`${data.role}: ${data.text}`);
}
disconnect() {
if (this.localStream) {
this.localStream.getTracks().forEach(track => track.stop());
}
if (this.peerConnection) {
this.peerConnection.close();
}
if (this.ws) {
this.ws.close();
}
}
}
// Usage
const client = new VoiceAgentClient({
serverUrl: 'wss://api.example.com',
agentId: 'agent_123',
});
document.getElementById('startBtn').onclick = () => client.connect();
document.getElementById('stopBtn').onclick = () => client.disconnect();
