// Pictures inside a .glb, without an address for each: the page's policy lets no script ask for `blob:` or `data:`.

import { Texture } from "three";

export class Images {
  constructor(parser) {
    this.name = "EMOTALK_images";
    this.loaded = new Map();
    parser.loadImageSource = (index) => {
      if (!this.loaded.has(index)) this.loaded.set(index, texture(parser, parser.json.images[index]));
      return this.loaded.get(index).then((found) => found.clone());
    };
  }
}

async function texture(parser, { bufferView, mimeType }) {
  const content = new Blob([await parser.getDependency("bufferView", bufferView)], { type: mimeType });
  const picture = await createImageBitmap(content, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const found = new Texture(picture);
  found.needsUpdate = true;
  found.userData.mimeType = mimeType;
  return found;
}
