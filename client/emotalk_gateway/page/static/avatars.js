// Avatars, as the gateway keeps them; docs/avatars.md has its routes.

export class Avatars {
  constructor(gateway) {
    this.gateway = gateway;
  }

  // {id, quality, warnings} of a new one; glasses: whether the person wears some.
  async register(file, name, glasses) {
    const body = new FormData();
    body.append("avatar_name", name);
    body.append("consent", "true");
    body.append("glasses", String(glasses));
    body.append("file", file, "picture");
    return (await this.gateway.answer("avatar/register", { method: "POST", body })).json();
  }

  // The face as it is drawn: the bytes of a .glb.
  async face(id) {
    return (await this.gateway.answer(`avatar/${id}/avatar.glb`)).arrayBuffer();
  }

  // A Blob: a JPEG.
  async preview(id) {
    return (await this.gateway.answer(`avatar/${id}/preview`)).blob();
  }

  // keepalive: also where the page is being left.
  async remove(id, keepalive = false) {
    await this.gateway.answer(`avatar/${id}`, { method: "DELETE", keepalive });
  }
}
