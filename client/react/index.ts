export { CallButton, DevicePicker, LevelMeter, Transcript, VoiceAgent } from './components.js';
export { useAudioLevel } from './use-audio-level.js';
export { useMicrophones, type Microphones } from './use-microphones.js';
export { useTranscript } from './use-transcript.js';
export { useCallState, useVoiceSession, type VoiceSession, type VoiceSessionOptions } from './use-voice-session.js';
export { VoiceAgentClient, VoiceAgentError } from '../src/voice-agent.js';
