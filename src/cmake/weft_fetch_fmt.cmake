# fmt as a download; used as headers only, so that an installed weft needs no fmt.

FetchContent_Declare(fmt
  URL https://github.com/fmtlib/fmt/archive/refs/tags/9.1.0.tar.gz
  URL_HASH SHA256=5dea48d1fcddc3ec571ce2058e13910a0d4a6bab4cc09a809d8b1dd1c88ae6f2
  DOWNLOAD_EXTRACT_TIMESTAMP ON)
set(FMT_INSTALL OFF)
FetchContent_MakeAvailable(fmt)
