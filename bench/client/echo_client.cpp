// The one client of all echo servers: connections in a closed loop, by one thread over epoll.
//
// echo_client NAME ADDRESS:PORT CONNECTIONS SECONDS SERVER-PID prints NAME.rate, .p50, .p99, .p999
// and .cpu, the server's user and system time per request, over the seconds after a tenth of them.
// Each connection sends 64 bytes, waits until they have come back, compares them, and sends again;
// its latency is from the send to the last byte. The client's own work is in the latencies, the
// same with all servers; with one processor for both the server waits for it, too.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;
using message = std::array<char, 64>;

constexpr int answer_within_ms = 10'000;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "echo_client: %s\n", what.c_str());
  std::exit(1);
}

[[noreturn]] void fail_with_errno(const char* what) {
  fail(std::string(what) + ": " + std::strerror(errno));
}

struct connection {
  int descriptor = -1;
  std::size_t received = 0;
  steady::time_point sent;
  message out{};
  message in{};
};

sockaddr_in parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    fail("not an address: " + text);
  }
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
  return address;
}

connection connect_to(const sockaddr_in& address, std::size_t number) {
  connection made;
  made.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made.descriptor < 0) fail_with_errno("socket");
  if (connect(made.descriptor, static_cast<const sockaddr*>(static_cast<const void*>(&address)),
              sizeof address) != 0) {
    fail_with_errno("connect");
  }
  const int on = 1;
  setsockopt(made.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::snprintf(made.out.data(), made.out.size(), "message of connection %zu", number);
  return made;
}

void send_message(connection& c) {
  c.received = 0;
  c.sent = steady::now();
  // 64 bytes always fit into the empty send buffer.
  if (send(c.descriptor, c.out.data(), c.out.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(c.out.size())) {
    fail_with_errno("send");
  }
}

// Reads what is there; whether the whole answer is.
bool receive(connection& c) {
  const ssize_t n =
      recv(c.descriptor, c.in.data() + c.received, c.in.size() - c.received, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n < 0) fail_with_errno("recv");
  if (n == 0) fail("the server has closed a connection");
  c.received += static_cast<std::size_t>(n);
  if (c.received < c.in.size()) return false;
  if (c.in != c.out) fail("wrong result: other bytes came back");
  return true;
}

// User and system time of a process in ns.
double cpu_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) fail("no process " + pid);
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int i = 0; i < 11; ++i) fields >> field;  // from the state to cmajflt
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) * 1e9 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// One message there and back, waiting for it.
void exchange(connection& c) {
  send_message(c);
  for (pollfd readable{c.descriptor, POLLIN, 0}; !receive(c);) {
    if (poll(&readable, 1, answer_within_ms) == 0) fail("no answer to the first message");
  }
}

class load {
 public:
  load(const std::string& address, std::size_t count) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail_with_errno("epoll_create1");
    const sockaddr_in parsed = parse_address(address);
    connections_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      connections_.push_back(connect_to(parsed, i));
      // Now and then a whole exchange, so that no more connect than the server's backlog holds.
      if (i % 64 == 0) exchange(connections_[i]);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].descriptor, &event) != 0) {
        fail_with_errno("epoll_ctl");
      }
    }
    for (connection& c : connections_) send_message(c);
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  // Goes on for that long; the latencies in ns of the requests that ended meanwhile.
  std::vector<std::uint32_t> run(double seconds) {
    std::vector<std::uint32_t> latencies;
    const auto end = steady::now() + std::chrono::duration_cast<steady::duration>(
                                         std::chrono::duration<double>(seconds));
    std::array<epoll_event, 256> events{};
    while (steady::now() < end) {
      const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      if (n < 0 && errno != EINTR) fail_with_errno("epoll_wait");
      for (int i = 0; i < n; ++i) {
        connection& c = connections_[events[static_cast<std::size_t>(i)].data.u64];
        if (!receive(c)) continue;
        const auto took = std::chrono::nanoseconds(steady::now() - c.sent).count();
        latencies.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took, UINT32_MAX)));
        send_message(c);
      }
    }
    return latencies;
  }

 private:
  int epoll_;
  std::vector<connection> connections_;
};

void print(const std::string& name, const char* part, double value, const char* unit) {
  std::printf("%s.%s\t%.6g\t%s\n", name.c_str(), part, value, unit);
}

void allow_descriptors(std::size_t connections) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < connections + 16) fail("the limit of descriptors is too low (ulimit -n)");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: echo_client NAME ADDRESS:PORT CONNECTIONS SECONDS SERVER-PID\n");
    return 2;
  }
  const std::string name = argv[1];
  const std::string pid = argv[5];
  const auto count = static_cast<std::size_t>(std::stoul(argv[3]));
  const double seconds = std::stod(argv[4]);

  allow_descriptors(count);
  load requests(argv[2], count);
  requests.run(seconds / 10);
  const double cpu_before = cpu_of(pid);
  const auto start = steady::now();
  std::vector<std::uint32_t> latencies = requests.run(seconds);
  const double took = std::chrono::duration<double>(steady::now() - start).count();
  const double cpu = cpu_of(pid) - cpu_before;
  if (latencies.empty()) fail("no request was answered");

  const auto n = static_cast<double>(latencies.size());
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&](double q) {
    const auto rank = static_cast<std::size_t>(q * n);
    return static_cast<double>(latencies[std::min(rank, latencies.size() - 1)]) / 1e3;
  };
  print(name, "rate", n / took, "req/s");
  print(name, "p50", quantile(0.5), "us");
  print(name, "p99", quantile(0.99), "us");
  print(name, "p999", quantile(0.999), "us");
  print(name, "cpu", cpu / n / 1e3, "us/op");
}
