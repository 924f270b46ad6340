/* Search on a page that was opened as a file. Browsers refuse Worker for file: addresses, so this
   one runs the worker's script in a hidden frame. Material for MkDocs uses it if a script of this
   name is configured, and would fetch one from a CDN otherwise. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      this.ready = new Promise((resolve) => this.frame.addEventListener("load", resolve));
      this.receive = (event) => {
        if (event.source === inside) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      };
      window.addEventListener("message", this.receive);
      inside.document.open();
      inside.document.write(
        "<script>" +
          "window.postMessage = (data) => parent.dispatchEvent(new MessageEvent('message'," +
          " { data, source: window }));" +
          "window.importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>" +
          " new Promise((resolve) => { const script = document.createElement('script');" +
          " script.src = url; script.onload = resolve; document.body.appendChild(script); }))," +
          " Promise.resolve());" +
          `</script><body><script src="${url}"></script></body>`,
      );
      inside.document.close();
    }

    postMessage(data) {
      const inside = this.frame.contentWindow;
      this.ready.then(() => inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      window.removeEventListener("message", this.receive);
      this.frame.remove();
    }
  };
}
