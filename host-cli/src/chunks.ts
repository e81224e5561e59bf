// Text written a little at a time, let go a lot at a time: a write for each value would be what an export costs.

const CHUNK = 128 * 1024;

export class Chunks {
  private text: string[] = [];
  private size = 0;

  constructor(private readonly out: (chunk: Uint8Array) => void) {}

  put(text: string): void {
    this.text.push(text);
    this.size += text.length;
    if (this.size >= CHUNK) this.flush();
  }

  /** Lets go what is left. */
  flush(): void {
    if (this.size === 0) return;
    this.out(Buffer.from(this.text.join("")));
    this.text = [];
    this.size = 0;
  }
}
