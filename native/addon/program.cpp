#include "classes.hpp"

namespace braid::addon {
namespace {

Napi::Object describe(Napi::Env env, const RunResult& result, bool profile) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("seconds", result.seconds);
  Napi::Array lanes = Napi::Array::New(env);
  for (const LaneTimes& times : result.lanes) {
    Napi::Array busy = Napi::Array::New(env), work = Napi::Array::New(env);
    for (const LaneUse& use : times.lanes) {
      busy.Set(busy.Length(), use.busy);
      work.Set(work.Length(), use.work);
    }
    Napi::Object lane = Napi::Object::New(env);
    lane.Set("group", times.group);
    lane.Set("seconds", times.seconds);
    lane.Set("busy", busy);
    lane.Set("work", work);
    lanes.Set(lanes.Length(), lane);
  }
  object.Set("lanes", lanes);
  if (result.nonFinite != kNoBuffer) object.Set("nonFinite", result.nonFinite);
  if (!profile) return object;
  Napi::Array calls = Napi::Array::New(env, result.calls.size());
  for (uint32_t i = 0; i < result.calls.size(); i++) {
    Napi::Object call = Napi::Object::New(env);
    call.Set("call", result.calls[i].call);
    call.Set("start", result.calls[i].start);
    call.Set("seconds", result.calls[i].seconds);
    calls.Set(i, call);
  }
  object.Set("calls", calls);
  return object;
}

RunRequest requestOf(const Napi::CallbackInfo& info) {
  const Napi::Object given = info[0].ToObject();
  return {given.Get("profile").ToBoolean(), given.Get("check").ToBoolean()};
}

// Runs off the event loop. It shares the runner, so that a program disposed of meanwhile still finishes safely.
class Run : public Napi::AsyncWorker {
 public:
  Run(Napi::Env env, std::shared_ptr<Runner> runner, RunRequest request)
      : Napi::AsyncWorker(env), runner_(std::move(runner)), request_(request), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_ = runner_->run(request_); }
  void OnOK() override { deferred_.Resolve(describe(Env(), result_, request_.profile)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  std::shared_ptr<Runner> runner_;
  RunRequest request_;
  RunResult result_;
  Napi::Promise::Deferred deferred_;
};

}  // namespace

Napi::FunctionReference ProgramObject::define(Napi::Env env) {
  return Napi::Persistent(DefineClass(env, "Program",
                                      {InstanceMethod("view", &ProgramObject::view),
                                       InstanceMethod("run", &ProgramObject::run),
                                       InstanceMethod("runHere", &ProgramObject::runHere),
                                       InstanceMethod("dispose", &ProgramObject::dispose)}));
}

ProgramObject::ProgramObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ProgramObject>(info), runner_(*info[0].As<Napi::External<std::shared_ptr<Runner>>>().Data()) {}

// view(buffer) → ArrayBuffer of a buffer in the arena.
Napi::Value ProgramObject::view(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const View view = loaded()->view(info[0].ToNumber().Int32Value());
    return share(info.Env(), view.data, view.bytes, view.owner);
  });
}

// run({ profile, check }) → Promise. One run at a time per engine; the caller queues.
Napi::Value ProgramObject::run(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto* worker = new Run(info.Env(), loaded(), requestOf(info));
    const Napi::Promise promise = worker->promise();
    worker->Queue();
    return promise;
  });
}

// runHere({ profile, check }) → what the promise of `run` would give: the calling thread runs the program. For programs that
// take less time than it is worth to wake another thread and be woken by it.
Napi::Value ProgramObject::runHere(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const RunRequest request = requestOf(info);
    return describe(info.Env(), loaded()->run(request), request.profile);
  });
}

const std::shared_ptr<Runner>& ProgramObject::loaded() const {
  if (!runner_) throw std::runtime_error("The program has been disposed of.");
  return runner_;
}

void ProgramObject::dispose(const Napi::CallbackInfo&) { runner_.reset(); }

}  // namespace braid::addon
