"""The shaders: how a point is placed, and what colour it has.

Lit surfaces (this project's head) have the look of the viewer's studio: a key light from the upper left, soft light
from above and below, a light from behind, and three.js' neutral tone mapping (Khronos PBR Neutral, 2024). Unlit ones
(a photograph) show their texture as it is. Outlines have no steps without multisampling: after what is whole, the
triangles that are seen from the side are drawn once more, a little larger, and fade over the pixel that they end in.
"""

from __future__ import annotations

VERTEX = """
#version 330
uniform mat4 camera;
uniform mat4 turned;
uniform vec4 still;  // of an avatar: its middle, and where its sway begins and ends to fade; 0: all moves
uniform vec4 edges;  // of an avatar's photograph, which stay too
uniform vec3 eye;
uniform float swell;  // of a pixel's size, along the normals
in vec3 point;
in vec3 normal;
in vec4 colour;
in vec2 place;
out vec3 n;
out vec3 v;
out vec4 c;
out vec2 uv;
out float depth;
void main() {
    n = mat3(turned) * normal;
    vec4 world = turned * vec4(point, 1.0) + vec4(n * swell, 0.0);
    if (still.w > 0.0) {
        vec4 inside = vec4(point.x - edges.x, edges.y - point.y, edges.z - point.x, point.y - edges.w);
        float nearest = min(min(inside.x, inside.y), min(inside.z, inside.w));
        float sways = smoothstep(0.0, 0.25 * still.z, nearest);
        sways *= 1.0 - smoothstep(still.z, still.w, distance(point.xy, still.xy));
        world.xy = mix(point.xy, world.xy, sways);
    }
    gl_Position = camera * world;
    v = eye - world.xyz;
    c = colour;
    uv = place;
    depth = point.z;
}
"""

_ENCODED = """
vec3 encoded(vec3 x) {  // sRGB, by roots: within 0.003 (Ian Taylor, "sRGB approximations for HLSL", 2010)
    vec3 a = sqrt(x), b = sqrt(a);
    return clamp(0.662002687 * a + 0.68412206 * b - 0.323583601 * sqrt(b) - 0.022541147 * x, 0.0, 1.0);
}
"""

UNLIT = (
    """
#version 330
uniform sampler2D picture;
uniform bool textured;
in vec4 c;
in vec2 uv;
out vec4 colour;
"""
    + _ENCODED
    + """
void main() {
    vec4 shown = vec4(encoded(c.rgb), c.a);
    colour = textured ? shown * texture(picture, uv) : shown;
}
"""
)
"""A program of its own, for a branch that is not taken costs as much as one that is on a processor."""

LIT = (
    """
#version 330
uniform float gloss;
uniform float sheen;
uniform vec2 shade;
uniform bool fading;  // draw what fades; else what is whole
in vec3 n;
in vec3 v;
in vec4 c;
in float depth;
out vec4 colour;

const vec3 KEY = normalize(vec3(-0.55, 0.6, 0.9));
const vec3 BACK = normalize(vec3(0.8, 0.35, -0.75));
const vec3 SKY = vec3(0.47, 0.48, 0.50), GROUND = vec3(0.17, 0.14, 0.13);

vec3 toned(vec3 x) {  // Khronos PBR Neutral
    float low = min(x.r, min(x.g, x.b));
    x -= low < 0.08 ? low - 6.25 * low * low : 0.04;
    float peak = max(x.r, max(x.g, x.b));
    if (peak < 0.76) return x;
    float squeezed = 1.0 - 0.0576 / (peak - 0.52);
    x *= squeezed / peak;
    return mix(x, vec3(squeezed), 1.0 - 1.0 / (0.15 * (peak - squeezed) + 1.0));
}

"""
    + _ENCODED
    + """
void main() {
    vec3 normal = normalize(n), view = normalize(v);
    float facing = dot(normal, view);
    if (fading) {
        float edge = clamp(facing / max(fwidth(facing), 1e-4), 0.0, 1.0);
        if (edge * c.a > 0.996) discard;
        colour.a = edge * c.a;
    } else {
        if (c.a < 0.98) discard;
        colour.a = 1.0;
    }
    float key = dot(normal, KEY);
    vec3 wrapped = clamp((vec3(key) + vec3(0.26, 0.10, 0.06) * sheen) / (1.0 + 0.15 * sheen), 0.0, 1.0);
    vec3 around = mix(GROUND, SKY, 0.5 + 0.5 * normal.y);
    float back = clamp(dot(normal, BACK), 0.0, 1.0);
    float rim = 1.0 - clamp(facing, 0.0, 1.0);
    rim *= rim;
    vec3 light = around + wrapped * vec3(1.0, 0.965, 0.92) + back * back * vec3(0.75, 0.8, 0.88);
    float towards = clamp(dot(normal, normalize(KEY + view)), 0.0, 1.0);
    float shine = towards / (gloss - gloss * towards + towards) * (0.02 + 0.0011 * gloss);  // Schlick, 1994
    vec3 seen = c.rgb * light + shine + rim * rim * sheen * 0.16 * around;
    seen *= smoothstep(shade.x, shade.y, depth) * 0.96 + 0.04;
    colour.rgb = encoded(toned(seen));
}
"""
)
