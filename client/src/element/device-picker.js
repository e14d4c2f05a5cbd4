/** A `<select>` of microphones or loudspeakers, hidden while there is no choice. */
export class DevicePicker {
  /**
   * @param {HTMLSelectElement} select
   * @param {() => Promise<MediaDeviceInfo[]>} list
   * @param {(deviceId: string) => Promise<void>} choose
   */
  constructor(select, list, choose) {
    this.select = select;
    this.list = list;
    select.onchange = () => void choose(select.value);
  }

  async refresh() {
    const devices = await this.list();
    const chosen = this.select.value;
    this.select.replaceChildren(...devices.map(({ deviceId, label }) => new Option(label || 'Unnamed', deviceId)));
    if (devices.some(({ deviceId }) => deviceId === chosen)) this.select.value = chosen;
    const label = this.select.closest('label');
    if (label) label.hidden = devices.length < 2;
    return devices.length;
  }
}
