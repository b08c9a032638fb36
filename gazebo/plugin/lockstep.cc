// A Gazebo Classic 11 system plugin: the world steps only on request of the process that started it.
//   gzserver -u -s libil_ros_lockstep.so WORLD        with IL_ROS_SOCKET=<descriptor of a connected socket>
// Every request gets one answer; gzserver ends when the other side closes the socket or ends.
//   B  bind (bodies.hh)                  O  done
//   R  reset (bodies.hh)                 T  state (bodies.hh)
//   S  u32 steps | targets (bodies.hh)   T  state after the steps
//   L  scan with the laser               L  ranges (bodies.hh)
//   P  camera                            P  picture (cameras.hh)
//                                        E  any failed request: the reason
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <gazebo/common/Events.hh>
#include <gazebo/common/Plugin.hh>
#include <gazebo/physics/PhysicsIface.hh>
#include <gazebo/physics/World.hh>

#include "bodies.hh"
#include "cameras.hh"
#include "wire.hh"

namespace il_ros
{
using namespace gazebo;

class Lockstep : public SystemPlugin
{
 public:
  void Load(int, char **) override
  {
    const char *socket = std::getenv("IL_ROS_SOCKET");
    if (!socket)
    {
      std::fprintf(stderr, "il_ros: IL_ROS_SOCKET is not set; il_ros starts gzserver with it\n");
      std::_Exit(2);
    }
    this->channel = Channel(std::atoi(socket));
    this->hooks.push_back(event::Events::ConnectWorldCreated([this](const std::string &name) { this->Watch(name); }));
  }

 private:
  void Watch(const std::string &name)
  {
    this->world = physics::get_world(name);
    this->hooks.push_back(event::Events::ConnectWorldUpdateBegin([this](const common::UpdateInfo &) { this->Begin(); }));
    this->hooks.push_back(event::Events::ConnectRender([this]() { this->OnRender(); }));
  }

  // The world starts paused (-u), because the loop that fills its scene must not wait for requests.
  void OnRender()
  {
    if (!this->released && this->world->PauseTime() > common::Time::Zero && Cameras::Ready())
    {
      this->released = true;
      this->world->SetPaused(false);
    }
    this->cameras.OnRender();
  }

  // Physics thread, before each step: serves requests until one requests steps.
  void Begin()
  {
    if (this->owed && this->steps == 0) this->Answer('T', this->bodies.State());
    while (this->steps == 0)
    {
      char kind;
      std::string body;
      if (!this->channel.Receive(kind, body)) std::_Exit(0);
      try
      {
        this->Serve(kind, Reader(body));
      }
      catch (const std::exception &error)
      {
        this->Answer('E', error.what());
      }
    }
    --this->steps;
    this->bodies.Act();
  }

  void Serve(char kind, Reader request)
  {
    switch (kind)
    {
      case 'B':
        this->bodies.Bind(this->world, request);
        return this->Answer('O', "");
      case 'R':
        this->bodies.Reset(request);
        return this->Answer('T', this->bodies.State());
      case 'S':
      {
        const auto steps = request.Get<uint32_t>();
        if (steps == 0) throw std::runtime_error("at least one step is needed");
        this->bodies.SetTargets(request);
        this->steps = steps;
        this->owed = true;
        return;
      }
      case 'L':
        return this->Answer('L', this->bodies.Ranges());
      case 'P':
        return this->Answer('P', this->cameras.Picture(this->world, request.Text()));
      default:
        throw std::runtime_error(std::string("unknown request ") + kind);
    }
  }

  void Answer(char kind, const std::string &body)
  {
    this->owed = false;
    if (!this->channel.Send(kind, body)) std::_Exit(0);
  }

  Channel channel{-1};
  physics::WorldPtr world;
  Bodies bodies;
  Cameras cameras;
  std::vector<event::ConnectionPtr> hooks;
  bool released = false;  // rendering thread
  uint32_t steps = 0;     // physics thread: steps still to do
  bool owed = false;      // physics thread: the answer to S is pending
};
GZ_REGISTER_SYSTEM_PLUGIN(Lockstep)
}  // namespace il_ros
