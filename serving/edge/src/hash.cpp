#include "hash.h"

namespace fadecast {
namespace {

// Fractional parts of the cube roots (constants) and square roots (start) of the first primes.
constexpr std::uint32_t kRound256[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u,
    0x923f82a4u, 0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u,
    0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u,
    0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u,
    0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u,
    0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au,
    0x5b9cca4fu, 0x682e6ff3u, 0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u,
    0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};
constexpr std::uint32_t kStart256[8] = {
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu,
    0x1f83d9abu, 0x5be0cd19u};
constexpr std::uint64_t kRound512[80] = {
    0x428a2f98d728ae22ull, 0x7137449123ef65cdull, 0xb5c0fbcfec4d3b2full,
    0xe9b5dba58189dbbcull, 0x3956c25bf348b538ull, 0x59f111f1b605d019ull,
    0x923f82a4af194f9bull, 0xab1c5ed5da6d8118ull, 0xd807aa98a3030242ull,
    0x12835b0145706fbeull, 0x243185be4ee4b28cull, 0x550c7dc3d5ffb4e2ull,
    0x72be5d74f27b896full, 0x80deb1fe3b1696b1ull, 0x9bdc06a725c71235ull,
    0xc19bf174cf692694ull, 0xe49b69c19ef14ad2ull, 0xefbe4786384f25e3ull,
    0x0fc19dc68b8cd5b5ull, 0x240ca1cc77ac9c65ull, 0x2de92c6f592b0275ull,
    0x4a7484aa6ea6e483ull, 0x5cb0a9dcbd41fbd4ull, 0x76f988da831153b5ull,
    0x983e5152ee66dfabull, 0xa831c66d2db43210ull, 0xb00327c898fb213full,
    0xbf597fc7beef0ee4ull, 0xc6e00bf33da88fc2ull, 0xd5a79147930aa725ull,
    0x06ca6351e003826full, 0x142929670a0e6e70ull, 0x27b70a8546d22ffcull,
    0x2e1b21385c26c926ull, 0x4d2c6dfc5ac42aedull, 0x53380d139d95b3dfull,
    0x650a73548baf63deull, 0x766a0abb3c77b2a8ull, 0x81c2c92e47edaee6ull,
    0x92722c851482353bull, 0xa2bfe8a14cf10364ull, 0xa81a664bbc423001ull,
    0xc24b8b70d0f89791ull, 0xc76c51a30654be30ull, 0xd192e819d6ef5218ull,
    0xd69906245565a910ull, 0xf40e35855771202aull, 0x106aa07032bbd1b8ull,
    0x19a4c116b8d2d0c8ull, 0x1e376c085141ab53ull, 0x2748774cdf8eeb99ull,
    0x34b0bcb5e19b48a8ull, 0x391c0cb3c5c95a63ull, 0x4ed8aa4ae3418acbull,
    0x5b9cca4f7763e373ull, 0x682e6ff3d6b2b8a3ull, 0x748f82ee5defb2fcull,
    0x78a5636f43172f60ull, 0x84c87814a1f0ab72ull, 0x8cc702081a6439ecull,
    0x90befffa23631e28ull, 0xa4506cebde82bde9ull, 0xbef9a3f7b2c67915ull,
    0xc67178f2e372532bull, 0xca273eceea26619cull, 0xd186b8c721c0c207ull,
    0xeada7dd6cde0eb1eull, 0xf57d4f7fee6ed178ull, 0x06f067aa72176fbaull,
    0x0a637dc5a2c898a6ull, 0x113f9804bef90daeull, 0x1b710b35131c471bull,
    0x28db77f523047d84ull, 0x32caab7b40c72493ull, 0x3c9ebe0a15c9bebcull,
    0x431d67c49c100d4cull, 0x4cc5d4becb3e42b6ull, 0x597f299cfc657e2aull,
    0x5fcb6fab3ad6faecull, 0x6c44198c4a475817ull};
constexpr std::uint64_t kStart512[8] = {
    0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull,
    0xa54ff53a5f1d36f1ull, 0x510e527fade682d1ull, 0x9b05688c2b3e6c1full,
    0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull};

template <typename Word>
constexpr Word rotate(Word x, int n) {
  return (x >> n) | (x << (8 * static_cast<int>(sizeof(Word)) - n));
}

// What tells the two hashes apart: word, rounds, constants and rotations.
struct Sha256 {
  using Word = std::uint32_t;
  static constexpr int kRounds = 64;
  static constexpr const Word* kRound = kRound256;
  static constexpr const Word* kStart = kStart256;
  static Word big0(Word x) { return rotate(x, 2) ^ rotate(x, 13) ^ rotate(x, 22); }
  static Word big1(Word x) { return rotate(x, 6) ^ rotate(x, 11) ^ rotate(x, 25); }
  static Word small0(Word x) { return rotate(x, 7) ^ rotate(x, 18) ^ (x >> 3); }
  static Word small1(Word x) { return rotate(x, 17) ^ rotate(x, 19) ^ (x >> 10); }
};

struct Sha512 {
  using Word = std::uint64_t;
  static constexpr int kRounds = 80;
  static constexpr const Word* kRound = kRound512;
  static constexpr const Word* kStart = kStart512;
  static Word big0(Word x) { return rotate(x, 28) ^ rotate(x, 34) ^ rotate(x, 39); }
  static Word big1(Word x) { return rotate(x, 14) ^ rotate(x, 18) ^ rotate(x, 41); }
  static Word small0(Word x) { return rotate(x, 1) ^ rotate(x, 8) ^ (x >> 7); }
  static Word small1(Word x) { return rotate(x, 19) ^ rotate(x, 61) ^ (x >> 6); }
};

template <typename Sha>
void compress(typename Sha::Word* state, const std::uint8_t* block) {
  using Word = typename Sha::Word;
  constexpr int kBytes = sizeof(Word);
  Word w[Sha::kRounds];
  for (int t = 0; t < 16; ++t) {
    w[t] = 0;
    for (int i = 0; i < kBytes; ++i) w[t] = (w[t] << 8) | block[t * kBytes + i];
  }
  for (int t = 16; t < Sha::kRounds; ++t)
    w[t] = Sha::small1(w[t - 2]) + w[t - 7] + Sha::small0(w[t - 15]) + w[t - 16];
  Word a = state[0], b = state[1], c = state[2], d = state[3];
  Word e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < Sha::kRounds; ++t) {
    const Word one = h + Sha::big1(e) + ((e & f) ^ (~e & g)) + Sha::kRound[t] + w[t];
    const Word two = Sha::big0(a) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
  }
  const Word add[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += add[i];
}

template <typename Sha>
std::array<std::uint8_t, 8 * sizeof(typename Sha::Word)> digest(const std::uint8_t* data,
                                                                 std::size_t size) {
  using Word = typename Sha::Word;
  constexpr std::size_t kBlock = 16 * sizeof(Word);
  Word state[8];
  for (int i = 0; i < 8; ++i) state[i] = Sha::kStart[i];
  std::size_t at = 0;
  for (; size - at >= kBlock; at += kBlock) compress<Sha>(state, data + at);
  std::uint8_t tail[2 * kBlock] = {};
  const std::size_t rest = size - at;
  for (std::size_t i = 0; i < rest; ++i) tail[i] = data[at + i];
  tail[rest] = 0x80;
  const std::size_t length = rest + 1 + 2 * sizeof(Word) <= kBlock ? kBlock : 2 * kBlock;
  const std::uint64_t bits = static_cast<std::uint64_t>(size) * 8;
  for (int i = 0; i < 8; ++i) tail[length - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
  for (std::size_t i = 0; i < length; i += kBlock) compress<Sha>(state, tail + i);
  std::array<std::uint8_t, 8 * sizeof(Word)> out;
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(state[i / sizeof(Word)] >>
                                       (8 * (sizeof(Word) - 1 - i % sizeof(Word))));
  return out;
}

}  // namespace

std::array<std::uint8_t, 32> sha256(const std::uint8_t* data, std::size_t size) {
  return digest<Sha256>(data, size);
}

std::array<std::uint8_t, 64> sha512(const std::uint8_t* data, std::size_t size) {
  return digest<Sha512>(data, size);
}

std::string hex(const std::uint8_t* data, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += "0123456789abcdef"[data[i] >> 4];
    text += "0123456789abcdef"[data[i] & 15];
  }
  return text;
}

}  // namespace fadecast
