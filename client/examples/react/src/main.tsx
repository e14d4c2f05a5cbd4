import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

import { Desk } from './desk';
import './style.css';

function App() {
  const [agentId, setAgentId] = useState('front-desk');
  const [isOpen, setIsOpen] = useState(true);
  return (
    <main>
      <select aria-label="Agent" value={agentId} onChange={({ target }) => setAgentId(target.value)}>
        <option value="front-desk">A restaurant</option>
        <option value="bike-shop">A bicycle workshop</option>
      </select>
      <button type="button" onClick={() => setIsOpen(!isOpen)}>{isOpen ? 'Close' : 'Open'}</button>
      {isOpen && <Desk agentId={agentId} />}
    </main>
  );
}

createRoot(document.getElementById('root')!).render(<StrictMode><App /></StrictMode>);
