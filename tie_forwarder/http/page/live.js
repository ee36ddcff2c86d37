"use strict";
(() => {
  const every = 2000;
  const patience = 5000;
  let tag = null;
  let heardAt = Date.now();

  const same = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.childNodes.length === other.childNodes.length;

  // Only what differs is touched, so that a selection, the scroll position and moving arrows stay as they are.
  const update = (old, fresh) => {
    if (!same(old, fresh)) {
      old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    [...old.childNodes].forEach((child, place) => update(child, fresh.childNodes[place]));
  };

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version) {
      location.reload();
      return;
    }
    document.title = fresh.title;
    for (const part of ["link[rel=icon]", "header", "main", "footer"]) {
      update(document.querySelector(part), fresh.querySelector(part));
    }
  };

  const turn = async () => {
    if (!document.hidden) {
      try {
        const headers = tag ? {"If-None-Match": tag} : {};
        const answer = await fetch("/", {headers, cache: "no-store", signal: AbortSignal.timeout(patience)});
        if (answer.status === 200) {
          tag = answer.headers.get("ETag");
          show(await answer.text());
        } else if (answer.status !== 304) {
          throw new Error(answer.status);
        }
        heardAt = Date.now();
        document.body.classList.remove("lost");
      } catch {
        document.body.classList.add("lost");
        const seconds = Math.round((Date.now() - heardAt) / 1000);
        document.getElementById("heard").textContent = `no answer for ${seconds} s: this is how it was`;
      }
    }
    setTimeout(turn, every);
  };

  setTimeout(turn, every);
})();
