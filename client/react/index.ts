'use client'; // for frameworks that render on servers: all of this has state

import type { DetailedHTMLProps, HTMLAttributes } from 'react';

import type { VoiceAgentElement } from '../src/voice-agent-element.js';
import type { VoiceAgentConfig } from '../src/voice-agent.js';

export { CallButton, DevicePicker, LevelMeter, Transcript, VoiceAgent } from './components.js';
export { useAudioLevel } from './use-audio-level.js';
export { useMicrophones, type Microphones } from './use-microphones.js';
export { useTranscript } from './use-transcript.js';
export { useCallState, useVoiceSession, type VoiceSession, type VoiceSessionOptions } from './use-voice-session.js';
export { VoiceAgentClient, VoiceAgentError, type CallState, type VoiceAgentConfig } from '../src/voice-agent.js';

/** `<voice-agent>` of `antiphon-client/element` in JSX. React 19 sets `config` as a property. */
interface VoiceAgentAttributes extends DetailedHTMLProps<HTMLAttributes<VoiceAgentElement>, VoiceAgentElement> {
  'agent-id': string;
  'server-url'?: string;
  'push-to-talk'?: boolean | '';
  'survives-reload'?: boolean | '';
  config?: Partial<VoiceAgentConfig>;
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'voice-agent': VoiceAgentAttributes;
    }
  }
}
