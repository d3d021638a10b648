# The Conan recipe of weft, for the tree that it stands in: `conan create packaging/conan`.

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain
from conan.tools.files import copy, load, rmdir


class Weft(ConanFile):
    name = "weft"
    description = "Fibers, channels and select for C++20, scheduled on all cores"
    license = "Apache-2.0"
    topics = ("fibers", "coroutines", "channels", "concurrency")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        # Boost.Context and fmt of the system instead of Conan's.
        "system_libraries": [True, False],
    }
    default_options = {"shared": False, "fPIC": True, "system_libraries": False}
    implements = ["auto_shared_fpic"]

    def _root(self):
        return os.path.join(self.recipe_folder, os.pardir, os.pardir)

    def set_version(self):
        """The version is said once, in base/config.hpp."""
        if self.version is None:
            text = load(self, os.path.join(self._root(), "include", "weft", "base", "config.hpp"))
            self.version = re.search(r'^#define WEFT_VERSION "([0-9.]+)"', text, re.M).group(1)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "src/*"):
            copy(self, pattern, self._root(), self.export_sources_folder)

    def layout(self):
        self.folders.root = os.path.join(os.pardir, os.pardir)
        self.folders.source = "."
        self.folders.build = os.path.join("build", "conan")
        self.folders.generators = os.path.join("build", "conan", "generators")

    def requirements(self):
        if not self.options.system_libraries:
            self.requires("boost/[>=1.75 <2]")
            self.requires("fmt/[>=8]")

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["WEFT_WARNINGS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        # The package has files for CMake of its own, which find what a static weft needs.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "weft")]
        self.cpp_info.libs = ["weft"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread", "dl"]
        if self.options.system_libraries:
            self.cpp_info.system_libs += ["boost_context", "fmt"]
