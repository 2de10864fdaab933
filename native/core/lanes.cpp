#include "lanes.hpp"

#include <chrono>

#include "pool.hpp"

namespace braid {

double secondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool Board::doOne() {
  uint64_t open = open_.load();
  do {
    if (static_cast<uint32_t>(open) == 0) return false;
  } while (!open_.compare_exchange_weak(open, open - 1));
  const int index = static_cast<int>(static_cast<uint32_t>(open)) - 1;
  Seat& leader = *leader_;
  failure_->watch(index, [&] { (*task_)(index); });
  // After this the round may be gone; the leader's seat is not.
  if (pending_.fetch_sub(1) == 1) leader.wake();
  return true;
}

// The team of a lane, led from a seat.
class LaneGroup::LaneTeam : public Team {
 public:
  LaneTeam(LaneGroup& group, int lane, int seat) : group_(group), lane_(lane), seat_(seat) {}

  int size() const override { return group_.pool_.size(); }
  bool hasTiles() const override { return group_.pool_.hasTiles(); }

  void run(const Task& task) override {
    Board& board = group_.lanes_[static_cast<size_t>(lane_)]->board;
    waited_ += board.run(task, size(), group_.pool_.seat(seat_), [&] { group_.wakeHelpers(seat_, lane_); });
  }

  std::byte* scratch(int index, size_t bytes, Scratch kind) override {
    return group_.pool_.scratch(lane_, index, bytes, kind);
  }

  double waited() const { return waited_; }

 private:
  LaneGroup& group_;
  int lane_;
  int seat_;
  double waited_ = 0;
};

LaneGroup::LaneGroup(ThreadPool& pool, const std::vector<int>& threads, Body body)
    : pool_(pool), body_(std::move(body)), remaining_(static_cast<int>(threads.size())) {
  for (int lane = 0; lane < static_cast<int>(threads.size()); lane++) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->threads = threads[static_cast<size_t>(lane)];
    laneOf_.insert(laneOf_.end(), static_cast<size_t>(lanes_.back()->threads), lane);
  }
  given_.resize(laneOf_.size() * lanes_.size());
}

void LaneGroup::enter(int seat) {
  const int own = laneOf_[static_cast<size_t>(seat)];
  if (seat == 0 || laneOf_[static_cast<size_t>(seat) - 1] != own) lead(own, seat);
  while (remaining_.load() > 0) {
    pool_.seat(seat).waitUntil([&] { return remaining_.load() == 0 || findsWork(seat); });
    help(seat);
  }
}

// Does nothing when somebody leads the lane already.
void LaneGroup::lead(int index, int seat) {
  Lane& lane = *lanes_[static_cast<size_t>(index)];
  if (lane.begun.exchange(true)) return;
  LaneTeam team(*this, index, seat);
  const double start = secondsNow();
  failure_.watch(index, [&] { body_(index, team); });
  given_[given(seat, index)] += secondsNow() - start - team.waited();
  lane.done.store(true);
  remaining_.fetch_sub(1);
  // Its threads may help now, or leave when it was the last.
  for (int other = 0; other < seats(); other++) pool_.seat(other).wake();
}

bool LaneGroup::mayHelp(int seat, int lane) const {
  const int own = laneOf_[static_cast<size_t>(seat)];
  return lane == own || lanes_[static_cast<size_t>(own)]->done.load();
}

// A lane may wait for a leader that others keep from running; it is led by whoever comes first.
bool LaneGroup::findsWork(int seat) const {
  for (int lane = 0; lane < static_cast<int>(lanes_.size()); lane++) {
    const Lane& other = *lanes_[static_cast<size_t>(lane)];
    if (mayHelp(seat, lane) && (other.board.isOpen() || !other.begun.load())) return true;
  }
  return false;
}

void LaneGroup::help(int seat) {
  for (int lane = 0; lane < static_cast<int>(lanes_.size()); lane++) {
    if (!mayHelp(seat, lane)) continue;
    lead(lane, seat);
    Board& board = lanes_[static_cast<size_t>(lane)]->board;
    if (!board.isOpen()) continue;
    const double start = secondsNow();
    while (board.doOne()) continue;
    given_[given(seat, lane)] += secondsNow() - start;
  }
}

void LaneGroup::wakeHelpers(int leader, int lane) {
  for (int seat = 0; seat < seats(); seat++) {
    if (seat != leader && mayHelp(seat, lane)) pool_.seat(seat).wake();
  }
}

std::vector<LaneUse> LaneGroup::finish() const {
  failure_.rethrow();
  std::vector<LaneUse> uses(lanes_.size());
  for (int seat = 0; seat < seats(); seat++) {
    const size_t own = static_cast<size_t>(laneOf_[static_cast<size_t>(seat)]);
    for (size_t lane = 0; lane < lanes_.size(); lane++) {
      const double seconds = given_[given(seat, static_cast<int>(lane))];
      uses[own].busy += seconds / lanes_[own]->threads;
      uses[lane].work += seconds / lanes_[lane]->threads;
    }
  }
  return uses;
}

}  // namespace braid
