// One's own head, kept in this browser: it is sent to nobody.

const STORE = "heads";
const KEY = "own";
const LAST = "face";

export class Kept {
  // The face that was shown last.
  get last() {
    return localStorage.getItem(LAST);
  }

  set last(value) {
    localStorage.setItem(LAST, value);
  }

  // The file that was kept; null if there is none.
  async read() {
    return (await this.ask("readonly", (store) => store.get(KEY)).catch(() => null)) ?? null;
  }

  // Keep `file`; returns why not, in words, or null.
  async write(file) {
    try {
      await this.ask("readwrite", (store) => store.put(file, KEY));
      return null;
    } catch (error) {
      return `It is not kept for the next time: ${error?.message || "this browser keeps nothing"}.`;
    }
  }

  async forget() {
    await this.ask("readwrite", (store) => store.delete(KEY)).catch(() => null);
  }

  ask(mode, request) {
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open("emotalk", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const database = opening.result;
        const change = database.transaction(STORE, mode);
        const asked = request(change.objectStore(STORE));
        change.oncomplete = () => {
          database.close();
          resolve(asked.result);
        };
        change.onabort = change.onerror = () => {
          database.close();
          reject(change.error);
        };
      };
    });
  }
}
