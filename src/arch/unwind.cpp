// Forced unwinding on top of _Unwind_ForcedUnwind and the C++ runtime's exception objects.
#include "weft/arch/unwind.hpp"

#include <unwind.h>

#include <cstring>
#include <exception>
#include <new>

#include "weft/arch/sanitizer.hpp"
#include "weft/arch/switch.hpp"

namespace weft::inline WEFT_ABI::detail {

// The object that is thrown. Not a std::exception, so that no handler for those meets it.
struct fiber_exit {
  unwind_request* request;
  void (*delete_object)(_Unwind_Reason_Code, _Unwind_Exception*);
};

struct unwinder {
  // The unwinder's header ends where the thrown object begins (Itanium C++ ABI, 2.2.1).
  static _Unwind_Exception* header_of(void* object) noexcept {
    return static_cast<_Unwind_Exception*>(object) - 1;
  }
  static fiber_exit* object_of(_Unwind_Exception* header) noexcept {
    return static_cast<fiber_exit*>(static_cast<void*>(header + 1));
  }

  // The runtime deletes the object: the last handler that caught it has ended. One that began in a
  // destructor leaves the outer unwinding active, which goes on by itself.
  static void on_swallowed(_Unwind_Reason_Code code, _Unwind_Exception* header) {
    const fiber_exit exit = *object_of(header);
    exit.delete_object(code, header);
    unwind_request& request = *exit.request;
    if (--request.depth_ != 0) return;
    request.frame_ = nullptr;
    if (request.on_swallowed_ != nullptr) request.on_swallowed_(request.argument_);
  }

  static _Unwind_Reason_Code stop(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                  _Unwind_Exception* header, _Unwind_Context* context,
                                  void* argument) {
    auto& request = *static_cast<unwind_request*>(argument);
    if ((actions & _UA_END_OF_STACK) == 0) {
      request.frame_ = reinterpret_cast<void*>(_Unwind_GetIP(context) - 1);
      return _URC_NO_REASON;
    }
    object_of(header)->delete_object(_URC_FOREIGN_EXCEPTION_CAUGHT, header);
    request.depth_ = 0;
    request.frame_ = nullptr;
    // The handlers that were left have ended their exceptions; ours is the only one still counted.
    *thread_state_of_caller().exceptions = {};
    request.at_bottom_(request.argument_);
    std::terminate();
  }

  [[noreturn]] static void unwind(unwind_request& request) {
    // The one portable way to an exception object with all its counts right. An exception_ptr is a
    // pointer to the object; this one is never destroyed, as the unwinding takes over its share.
    alignas(std::exception_ptr) unsigned char owner[sizeof(std::exception_ptr)];
    ::new (static_cast<void*>(owner))
        std::exception_ptr(std::make_exception_ptr(fiber_exit{&request, nullptr}));
    void* object;
    static_assert(sizeof(object) == sizeof(owner));
    std::memcpy(&object, owner, sizeof(object));

    _Unwind_Exception* header = header_of(object);
    static_cast<fiber_exit*>(object)->delete_object = header->exception_cleanup;
    header->exception_cleanup = &unwinder::on_swallowed;
    ++request.depth_;
    ++thread_state_of_caller().exceptions->uncaught;
    // The frames that go will not take back the red zones they have put around their variables.
    if (&__asan_handle_no_return != nullptr) __asan_handle_no_return();
    _Unwind_ForcedUnwind(header, &unwinder::stop, &request);
    std::terminate();  // the unwinder returns only when the stack has no tables to go by
  }
};

void forced_unwind(unwind_request& request) { unwinder::unwind(request); }

}  // namespace weft::inline WEFT_ABI::detail
