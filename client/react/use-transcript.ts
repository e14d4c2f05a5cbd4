import type { Transcript, VoiceAgentClient } from '../src/voice-agent.js';
import { useCallState } from './use-voice-session.js';

/** What was said so far, in the order in which it began. */
export function useTranscript(client: VoiceAgentClient | null): Transcript {
  return useCallState(client).transcript;
}
