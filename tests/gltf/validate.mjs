// node validate.mjs FILE: Khronos' report on a .glb, as JSON.
import { readFileSync } from "node:fs";
import validator from "gltf-validator";

const bytes = new Uint8Array(readFileSync(process.argv[2]));
process.stdout.write(JSON.stringify(await validator.validateBytes(bytes, { maxIssues: 20 })));
