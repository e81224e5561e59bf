// What a device prints, fit for a person's terminal.
//
// A terminal obeys what is written to it: an escape sequence may fill the
// clipboard, rename the window, or have the terminal type an answer. So of
// what a device sends these pass, and the rest is shown in letters:
//   - text, line ends, tabs, backspace, bell
//   - CSI sequences that colour, move the cursor or erase: what a prompt with
//     line editing needs

import { printable } from "../exit";

const ESC = "\u001b";
const PLAIN = new Set(["\t", "\n", "\r", "\b", "\u0007"]);
// No "?": with it some of these are questions, which a terminal answers.
const CSI = new RegExp(`^${ESC}\\[[0-9;]{0,16}[A-HJKSTXdfmsu@P]`);
/** What may still become one. */
const BEGUN = new RegExp(`^${ESC}(\\[[0-9;]{0,16})?$`);

/** Takes bytes as they come, cut anywhere; gives text to write. */
export function safeText(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder();
  let held = "";
  return (bytes) => {
    let text = held + decoder.decode(bytes, { stream: true });
    held = "";
    let out = "";
    while (text !== "") {
      if (BEGUN.test(text)) {
        held = text;
        return out;
      }
      const sequence = CSI.exec(text)?.[0];
      const char = sequence ?? String.fromCodePoint(text.codePointAt(0) ?? 0);
      out += sequence ?? (PLAIN.has(char) ? char : printable(char));
      text = text.slice(char.length);
    }
    return out;
  };
}
