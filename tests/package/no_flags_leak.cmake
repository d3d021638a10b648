# What weft asks of its consumers is the language standard and its headers, no flags and no tests.

foreach(property IN ITEMS INTERFACE_COMPILE_OPTIONS INTERFACE_LINK_OPTIONS)
  get_target_property(value weft::weft ${property})
  if(value)
    message(FATAL_ERROR "weft hands ${property} `${value}` to its consumers")
  endif()
endforeach()
if(TARGET weft_test_support)
  message(FATAL_ERROR "weft builds its tests in a consumer's tree")
endif()
