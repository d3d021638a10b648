// The second stage: reads files and computes their SHA-256.
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <system_error>

#include "pipeline.hpp"

namespace digest {

namespace {

constexpr std::size_t buffer_size = 256 * 1024;

[[noreturn]] void fail(int error) { throw std::system_error(error, std::generic_category()); }

// A regular file, open for reading. Its calls may wait for the disk.
class input_file {
 public:
  // Between its discovery and now the file may have become a pipe: opening that must not wait.
  explicit input_file(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) {
    if (fd_ < 0) fail(errno);
    struct stat status{};
    const int error = ::fstat(fd_, &status) != 0 ? errno : 0;
    if (error == 0 && S_ISREG(status.st_mode)) return;
    ::close(fd_);
    if (error != 0) fail(error);
    throw std::runtime_error(S_ISDIR(status.st_mode) ? "is a directory" : "not a regular file");
  }
  ~input_file() { ::close(fd_); }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  // How many bytes were read; 0 at the end.
  std::size_t read(std::span<unsigned char> buffer) {
    for (;;) {
      const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) fail(errno);
    }
  }

 private:
  int fd_;
};

// OpenSSL's SHA-256, used for one file after the other.
class hasher {
 public:
  hasher() {
    if (!context_ || !algorithm_) throw std::runtime_error("OpenSSL has no SHA-256");
  }
  void begin() { check(EVP_DigestInit_ex(context_.get(), algorithm_.get(), nullptr)); }
  void add(std::span<const unsigned char> bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
  }
  sha256 end() {
    sha256 digest;
    check(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
    return digest;
  }

 private:
  static void check(int ok) {
    if (ok != 1) throw std::runtime_error("OpenSSL failed");
  }

  std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm_{
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
};

// Nothing when the context is done before the file's end.
// [hash_file]
std::optional<hashed> hash_file(const weft::context& ctx, const job& file, hasher& sha,
                                std::span<unsigned char> buffer) {
  const auto input = weft::blocking([&] { return std::make_unique<input_file>(file.path); });
  std::uint64_t bytes = 0;
  sha.begin();
  while (!ctx.err()) {
    const std::size_t n = weft::blocking([&] { return input->read(buffer); });
    if (n == 0) return hashed{file, sha.end(), bytes};
    sha.add(buffer.first(n));
    bytes += n;
  }
  return std::nullopt;
}
// [end]

}  // namespace

void hash_files(const stages& to) {
  hasher sha;
  std::vector<unsigned char> buffer(buffer_size);
  std::error_code canceled;
  while (const std::optional<job> file = to.files.recv(to.ctx, canceled)) {
    try {
      if (auto result = hash_file(to.ctx, *file, sha, buffer)) to.events.send(*std::move(result));
    } catch (const std::system_error& e) {
      to.events.send(failed{*file, e.code().message()});
    } catch (const std::runtime_error& e) {
      to.events.send(failed{*file, e.what()});
    }
  }
}

}  // namespace digest
