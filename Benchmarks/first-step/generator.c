// Generates the benchmark's input: the shape of the public TSBS cpu-only use case, as HTTP
// bodies of line protocol. The same arguments give the same bytes.
//
//     generator HOSTS TICKS DECIMALS SEED LINES_PER_BODY START_SECONDS DATA_FILE INDEX_FILE
//
// A tick is ten seconds; every tick has one row of every host, in host order, so that a body
// is what a fleet's relay sends. Ten fields do a random walk with steps of N(0,1) inside
// 0 ... 100; integers are the walk cut to its whole part (`58i`), two decimals the walk rounded.
//
// The data file is the bodies one behind the other. The index file is text:
//
//     line 1   rows values sum      sum: of usage_user over all rows, in units of 10^-decimals
//     line n   offset byteCount rowCount     of one body

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { fieldCount = 10, tickSeconds = 10, lineBytesMax = 1024, outputBytesMax = 4 << 20 };

static const char *const fieldNames[fieldCount] = {
    "usage_user",    "usage_system", "usage_idle",  "usage_nice",  "usage_iowait",
    "usage_irq",     "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"};

// Every region has its own data centres, as in TSBS, so that the tags are correlated.
static const struct { const char *name; int dataCentreCount; } regions[] = {
    {"us-east-1", 5},      {"us-west-1", 2},      {"us-west-2", 3},
    {"eu-west-1", 3},      {"eu-central-1", 2},   {"ap-southeast-1", 2},
    {"ap-southeast-2", 2}, {"ap-northeast-1", 2}, {"sa-east-1", 3}};

static uint64_t state[4];

static uint64_t rotateLeft(uint64_t x, int count) { return (x << count) | (x >> (64 - count)); }

// xoshiro256**, seeded by splitmix64.
static uint64_t nextRandom(void) {
  uint64_t result = rotateLeft(state[1] * 5, 7) * 9, t = state[1] << 17;
  state[2] ^= state[0]; state[3] ^= state[1]; state[1] ^= state[2]; state[0] ^= state[3];
  state[2] ^= t; state[3] = rotateLeft(state[3], 45);
  return result;
}

static void seedRandom(uint64_t seed) {
  for (int i = 0; i < 4; i++) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    state[i] = z ^ (z >> 31);
  }
}

static double nextUniform(void) { return (double)(nextRandom() >> 11) * 0x1p-53; }
static int choose(int count) { return (int)(nextRandom() % (uint64_t)count); }

// The polar method; it makes two at a time.
static double nextNormal(void) {
  static double spare;
  static int hasSpare;
  if (hasSpare) { hasSpare = 0; return spare; }
  double u, v, s;
  do { u = 2 * nextUniform() - 1; v = 2 * nextUniform() - 1; s = u * u + v * v; } while (s >= 1 || s == 0);
  double factor = sqrt(-2 * log(s) / s);
  spare = v * factor;
  hasSpare = 1;
  return u * factor;
}

static char *hostPrefix(int host) {
  static const char *const systems[] = {"Ubuntu15.10", "Ubuntu16.04LTS", "Ubuntu16.10"};
  static const char *const architectures[] = {"x64", "x86"};
  static const char *const teams[] = {"SF", "NYC", "LON", "CHI"};
  static const char *const environments[] = {"production", "staging", "test"};
  char text[lineBytesMax];
  int region = choose(9), dataCentre = choose(regions[region].dataCentreCount), rack = choose(100);
  int system = choose(3), architecture = choose(2), team = choose(4), service = choose(20);
  int version = choose(2), environment = choose(3);
  snprintf(text, sizeof text,
           "cpu,hostname=host_%d,region=%s,datacenter=%s%c,rack=%d,os=%s,arch=%s,team=%s,service=%d,"
           "service_version=%d,service_environment=%s ",
           host, regions[region].name, regions[region].name, 'a' + dataCentre, rack, systems[system],
           architectures[architecture], teams[team], service, version, environments[environment]);
  return strdup(text);
}

static void fail(const char *what) { perror(what); exit(74); }

int main(int argc, char **argv) {
  if (argc != 9) { fprintf(stderr, "usage: see the first lines of generator.c\n"); return 64; }
  int hostCount = atoi(argv[1]), tickCount = atoi(argv[2]), decimals = atoi(argv[3]), linesPerBody = atoi(argv[5]);
  long long startSeconds = atoll(argv[6]);
  if (hostCount < 1 || tickCount < 1 || (decimals != 0 && decimals != 2) || linesPerBody < 1) {
    fprintf(stderr, "generator: an argument is out of range\n");
    return 64;
  }
  seedRandom(strtoull(argv[4], NULL, 10));
  FILE *data = fopen(argv[7], "wb"), *index = fopen(argv[8], "wb");
  if (!data) fail(argv[7]);
  if (!index) fail(argv[8]);

  char **prefixes = calloc((size_t)hostCount, sizeof *prefixes);
  double *walks = calloc((size_t)hostCount * fieldCount, sizeof *walks);
  long long bodyCount = ((long long)hostCount * tickCount + linesPerBody - 1) / linesPerBody;
  long long *bodies = calloc((size_t)bodyCount * 3, sizeof *bodies);
  char *output = malloc(outputBytesMax + lineBytesMax);
  if (!prefixes || !walks || !bodies || !output) fail("memory");
  for (int host = 0; host < hostCount; host++) prefixes[host] = hostPrefix(host);
  for (int i = 0; i < hostCount * fieldCount; i++) walks[i] = nextUniform() * 100;

  // Every value of 0.00 ... 100.00 as text, since printf would take most of the time.
  static char texts[10001][8];
  static int textBytes[10001];
  for (int i = 0; i <= (decimals ? 10000 : 100); i++)
    textBytes[i] = decimals ? snprintf(texts[i], 8, "%d.%02d", i / 100, i % 100) : snprintf(texts[i], 8, "%di", i);
  char names[fieldCount][32];
  int nameBytes[fieldCount];
  for (int f = 0; f < fieldCount; f++)
    nameBytes[f] = snprintf(names[f], 32, "%s%s=", f ? "," : "", fieldNames[f]);

  long long rows = 0, sum = 0, written = 0;
  size_t used = 0;
  for (int tick = 0; tick < tickCount; tick++) {
    char time[40];
    int timeBytes = snprintf(time, sizeof time, " %lld000000000\n", startSeconds + (long long)tick * tickSeconds);
    for (int host = 0; host < hostCount; host++) {
      long long *body = &bodies[rows / linesPerBody * 3];
      if (rows % linesPerBody == 0) body[0] = written + (long long)used;
      char *start = output + used, *at = stpcpy(start, prefixes[host]);
      double *walk = walks + (size_t)host * fieldCount;
      for (int f = 0; f < fieldCount; f++) {
        double value = walk[f] + nextNormal();
        walk[f] = value = value < 0 ? 0 : value > 100 ? 100 : value;
        int printed = decimals ? (int)(value * 100 + 0.5) : (int)value;
        if (f == 0) sum += printed;
        memcpy(at, names[f], 32);
        at += nameBytes[f];
        memcpy(at, texts[printed], 8);
        at += textBytes[printed];
      }
      memcpy(at, time, (size_t)timeBytes);
      at += timeBytes;
      used += (size_t)(at - start);
      body[1] += at - start;
      body[2]++;
      rows++;
      if (used >= outputBytesMax) {
        if (fwrite(output, 1, used, data) != used) fail(argv[7]);
        written += (long long)used;
        used = 0;
      }
    }
  }
  if (fwrite(output, 1, used, data) != used || fclose(data)) fail(argv[7]);
  fprintf(index, "%lld %lld %lld\n", rows, rows * fieldCount, sum);
  for (long long i = 0; i < bodyCount; i++)
    fprintf(index, "%lld %lld %lld\n", bodies[i * 3], bodies[i * 3 + 1], bodies[i * 3 + 2]);
  if (fclose(index)) fail(argv[8]);
  return 0;
}
