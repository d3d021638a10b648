// The intrusive list and chain: order, unlinking anywhere, and joining.
#include "weft/base/intrusive_list.hpp"

#include <vector>

#include "support/catch.hpp"

namespace {

struct item : weft::detail::list_node {
  explicit item(int v) : value(v) {}
  int value;
  item* link = nullptr;
};

using item_list = weft::detail::list<item>;
using item_chain = weft::detail::chain<item, &item::link>;
using ints = std::vector<int>;

ints drain(item_list& l) {
  ints values;
  while (item* i = l.pop_front()) values.push_back(i->value);
  return values;
}

ints drain(item_chain& c) {
  ints values;
  while (item* i = c.pop_front()) values.push_back(i->value);
  return values;
}

}  // namespace

TEST_CASE("list: gives items back in the order of both ends", "[base][unit]") {
  item a(1);
  item b(2);
  item c(3);
  item_list l;
  CHECK(l.empty());
  CHECK(l.front() == nullptr);
  CHECK(l.pop_front() == nullptr);
  l.push_back(b);
  l.push_back(c);
  l.push_front(a);
  CHECK_FALSE(l.empty());
  CHECK(l.front() == &a);
  CHECK(l.after(a) == &b);
  CHECK(l.after(c) == nullptr);
  CHECK(a.is_linked());
  CHECK(drain(l) == ints{1, 2, 3});
  CHECK(l.empty());
  CHECK_FALSE(a.is_linked());
}

TEST_CASE("list: an item unlinks itself from any place", "[base][unit]") {
  item a(1);
  item b(2);
  item c(3);
  item_list l;
  l.push_back(a);
  l.push_back(b);
  l.push_back(c);
  b.unlink();
  CHECK_FALSE(b.is_linked());
  CHECK(l.after(a) == &c);
  a.unlink();
  CHECK(l.front() == &c);
  l.push_back(a);
  CHECK(drain(l) == ints{3, 1});
  l.push_back(b);
  b.unlink();
  CHECK(l.empty());
}

TEST_CASE("list: splicing appends and empties the other", "[base][unit]") {
  item a(1);
  item b(2);
  item c(3);
  item_list l;
  item_list other;
  l.splice_back(other);
  CHECK(l.empty());
  other.push_back(b);
  other.push_back(c);
  l.push_back(a);
  l.splice_back(other);
  CHECK(other.empty());
  CHECK(drain(l) == ints{1, 2, 3});
  other.push_back(a);
  l.splice_back(other);
  CHECK(drain(l) == ints{1});
}

TEST_CASE("chain: a FIFO that knows its size", "[base][unit]") {
  item a(1);
  item b(2);
  item c(3);
  item_chain q;
  CHECK(q.empty());
  CHECK(q.size() == 0);
  CHECK(q.pop_front() == nullptr);
  q.push_back(&b);
  q.push_back(&c);
  q.push_front(&a);
  CHECK(q.size() == 3);
  CHECK(drain(q) == ints{1, 2, 3});
  CHECK(q.empty());
  q.push_front(&a);
  q.push_back(&b);
  CHECK(drain(q) == ints{1, 2});
}

TEST_CASE("chain: appending moves everything", "[base][unit]") {
  item a(1);
  item b(2);
  item c(3);
  item_chain q;
  item_chain other;
  q.append(other);
  CHECK(q.empty());
  other.push_back(&a);
  other.push_back(&b);
  q.append(other);
  CHECK(other.empty());
  CHECK(other.size() == 0);
  CHECK(q.size() == 2);
  other.push_back(&c);
  q.append(other);
  CHECK(q.size() == 3);
  CHECK(drain(q) == ints{1, 2, 3});
}
