// Moves a descriptor away from the standard streams.
#include "weft/arch/descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "weft/arch/fault.hpp"

namespace weft::inline WEFT_ABI::detail {

int above_standard_streams(int fd) noexcept {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int moved =
      may_fail("fcntl", [&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); });
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

}  // namespace weft::inline WEFT_ABI::detail
