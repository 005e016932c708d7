#include "ed25519.h"

#include <vector>

#include "hash.h"

namespace fadecast {
namespace {

using u64 = std::uint64_t;
__extension__ using u128 = unsigned __int128;

constexpr u64 kMask = (1ull << 51) - 1;

// An integer modulo p = 2^255 - 19 as five limbs of 51 bits, each below 2^52 after any operation.
struct Field {
  u64 limb[5];
};

constexpr Field kZero = {{0, 0, 0, 0, 0}};
constexpr Field kOne = {{1, 0, 0, 0, 0}};
constexpr Field kD = {{929955233495203ull, 466365720129213ull, 1662059464998953ull, 2033849074728123ull, 1442794654840575ull}};           // -121665 / 121666
constexpr Field kRootMinusOne = {{1718705420411056ull, 234908883556509ull, 2233514472574048ull, 2117202627021982ull, 765476049583133ull}};  // 2^((p - 1) / 4)
constexpr Field kBaseX = {{1738742601995546ull, 1146398526822698ull, 2070867633025821ull, 562264141797630ull, 587772402128613ull}};
constexpr Field kBaseY = {{1801439850948184ull, 1351079888211148ull, 450359962737049ull, 900719925474099ull, 1801439850948198ull}};       // 4 / 5

Field carried(u128 a, u128 b, u128 c, u128 d, u128 e) {
  u128 t[5] = {a, b, c, d, e};
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 4; ++i) {
      t[i + 1] += t[i] >> 51;
      t[i] &= kMask;
    }
    t[0] += 19 * (t[4] >> 51);
    t[4] &= kMask;
  }
  return {{static_cast<u64>(t[0]), static_cast<u64>(t[1]), static_cast<u64>(t[2]),
           static_cast<u64>(t[3]), static_cast<u64>(t[4])}};
}

Field operator+(const Field& a, const Field& b) {
  return carried(a.limb[0] + b.limb[0], a.limb[1] + b.limb[1], a.limb[2] + b.limb[2],
                 a.limb[3] + b.limb[3], a.limb[4] + b.limb[4]);
}

Field operator-(const Field& a, const Field& b) {
  // 4 p is added, so that no limb goes below zero.
  constexpr u64 low = 4 * (kMask - 18), high = 4 * kMask;
  return carried(a.limb[0] + low - b.limb[0], a.limb[1] + high - b.limb[1],
                 a.limb[2] + high - b.limb[2], a.limb[3] + high - b.limb[3],
                 a.limb[4] + high - b.limb[4]);
}

Field operator*(const Field& x, const Field& y) {
  const u64 *a = x.limb, *b = y.limb;
  u128 t[5] = {};
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < 5; ++j)
      t[(i + j) % 5] += static_cast<u128>(a[i]) * (i + j >= 5 ? 19 * b[j] : b[j]);
  return carried(t[0], t[1], t[2], t[3], t[4]);
}

// a^e for e of 256 bits, little-endian bytes.
Field power(const Field& a, const std::uint8_t* e) {
  Field out = kOne;
  for (int bit = 255; bit >= 0; --bit) {
    out = out * out;
    if (e[bit / 8] >> (bit % 8) & 1) out = out * a;
  }
  return out;
}

// The one representative below p, little-endian.
void canonical(const Field& a, std::uint8_t* out) {
  Field x = carried(a.limb[0], a.limb[1], a.limb[2], a.limb[3], a.limb[4]);
  // x + 19 reaches 2^255 exactly when x is at least p.
  u64 over = (x.limb[0] + 19) >> 51;
  for (int i = 1; i < 5; ++i) over = (x.limb[i] + over) >> 51;
  x.limb[0] += 19 * over;
  for (int i = 0; i < 4; ++i) {
    x.limb[i + 1] += x.limb[i] >> 51;
    x.limb[i] &= kMask;
  }
  x.limb[4] &= kMask;
  for (int i = 0; i < 32; ++i) out[i] = 0;
  for (int bit = 0; bit < 255; ++bit)
    out[bit / 8] |= static_cast<std::uint8_t>((x.limb[bit / 51] >> (bit % 51) & 1) << (bit % 8));
}

bool equal(const Field& a, const Field& b) {
  std::uint8_t x[32], y[32];
  canonical(a, x), canonical(b, y);
  for (int i = 0; i < 32; ++i)
    if (x[i] != y[i]) return false;
  return true;
}

// A point (X/Z, Y/Z) of the curve -x^2 + y^2 = 1 + d x^2 y^2, with T = X Y / Z.
struct Point {
  Field x, y, z, t;
};

const Point kNeutral = {kZero, kOne, kOne, kZero};

// RFC 8032, 5.1.4: complete, so it doubles too.
Point operator+(const Point& p, const Point& q) {
  const Field a = (p.y - p.x) * (q.y - q.x), b = (p.y + p.x) * (q.y + q.x);
  const Field tt = p.t * q.t * kD, zz = p.z * q.z;
  const Field c = tt + tt, d = zz + zz;
  const Field e = b - a, f = d - c, g = d + c, h = b + a;
  return {e * f, g * h, f * g, e * h};
}

Point times(const Point& p, const std::uint8_t* scalar) {
  Point out = kNeutral;
  for (int bit = 255; bit >= 0; --bit) {
    out = out + out;
    if (scalar[bit / 8] >> (bit % 8) & 1) out = out + p;
  }
  return out;
}

bool same(const Point& p, const Point& q) {
  return equal(p.x * q.z, q.x * p.z) && equal(p.y * q.z, q.y * p.z);
}

// RFC 8032, 5.1.3; false for what is no point or not written in its one canonical way.
bool decode(const std::uint8_t* bytes, Point* out) {
  Field y = kZero;
  for (int bit = 0; bit < 255; ++bit)
    y.limb[bit / 51] |= static_cast<u64>(bytes[bit / 8] >> (bit % 8) & 1) << (bit % 51);
  std::uint8_t again[32];
  canonical(y, again);
  const std::uint8_t sign = bytes[31] >> 7;
  for (int i = 0; i < 32; ++i)
    if (again[i] != (i == 31 ? bytes[i] & 127 : bytes[i])) return false;
  const Field u = y * y - kOne, v = y * y * kD + kOne;
  std::uint8_t exponent[32];  // (p - 5) / 8 = 2^252 - 3
  for (int i = 0; i < 32; ++i) exponent[i] = 0xff;
  exponent[0] = 0xfd, exponent[31] = 0x0f;
  const Field v3 = v * v * v, v7 = v3 * v3 * v;
  Field x = u * v3 * power(u * v7, exponent);
  const Field square = v * x * x;
  if (!equal(square, u)) {
    if (!equal(square, kZero - u)) return false;
    x = x * kRootMinusOne;
  }
  std::uint8_t text[32];
  canonical(x, text);
  if (equal(x, kZero) && sign) return false;
  if ((text[0] & 1) != sign) x = kZero - x;
  *out = {x, y, kOne, x * y};
  return true;
}

// The order of the base point, 2^252 + 27742317777372353535851937790883648493, little-endian.
constexpr std::uint8_t kOrder[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                     0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                     0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool below_order(const std::uint8_t* scalar) {
  for (int i = 31; i >= 0; --i)
    if (scalar[i] != kOrder[i]) return scalar[i] < kOrder[i];
  return false;
}

// 512 bits modulo the order, bit by bit.
void reduce(const std::uint8_t* wide, std::uint8_t* out) {
  std::uint8_t rest[32] = {};
  for (int bit = 511; bit >= 0; --bit) {
    int carry = wide[bit / 8] >> (bit % 8) & 1;
    for (int i = 0; i < 32; ++i) {
      const int doubled = rest[i] * 2 + carry;
      rest[i] = static_cast<std::uint8_t>(doubled), carry = doubled >> 8;
    }
    if (!below_order(rest)) {
      int borrow = 0;
      for (int i = 0; i < 32; ++i) {
        const int less = rest[i] - kOrder[i] - borrow;
        rest[i] = static_cast<std::uint8_t>(less), borrow = less < 0;
      }
    }
  }
  for (int i = 0; i < 32; ++i) out[i] = rest[i];
}

}  // namespace

bool ed25519_verify(const std::uint8_t* signature, const std::uint8_t* key,
                    const std::uint8_t* message, std::size_t size) {
  const std::uint8_t *commitment = signature, *response = signature + 32;
  Point r, a;
  if (!below_order(response) || !decode(commitment, &r) || !decode(key, &a)) return false;
  const std::uint8_t eight[32] = {8};
  if (same(times(a, eight), kNeutral)) return false;
  std::vector<std::uint8_t> text(commitment, commitment + 32);
  text.insert(text.end(), key, key + 32);
  text.insert(text.end(), message, message + size);
  std::uint8_t challenge[32];
  reduce(sha512(text.data(), text.size()).data(), challenge);
  const Point base = {kBaseX, kBaseY, kOne, kBaseX * kBaseY};
  return same(times(base, response), r + times(a, challenge));
}

}  // namespace fadecast
