// Images of exactly the current poses. Gazebo's own camera updates are late and drop frames when the world runs
// faster than real time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

#include <gazebo/common/Time.hh>
#include <gazebo/physics/PhysicsTypes.hh>
#include <gazebo/rendering/RenderTypes.hh>
#include <gazebo/transport/TransportTypes.hh>

namespace il_ros
{
class Cameras
{
 public:
  // Physics thread: u32 width | u32 height | rows of r g b. Throws when there is no such camera or no frame.
  std::string Picture(const gazebo::physics::WorldPtr &world, const std::string &name);

  // Rendering thread, in Gazebo's render event.
  void OnRender();

  // Rendering thread: true once the scene is initialised; nothing is rendered before that.
  static bool Ready();

 private:
  void PublishPoses(const gazebo::physics::WorldPtr &world, const gazebo::common::Time &stamp);

  gazebo::transport::NodePtr node;
  gazebo::transport::PublisherPtr publisher;
  uint32_t pictures = 0;

  std::mutex mutex;  // guards the members below
  std::condition_variable drawn;
  gazebo::rendering::CameraPtr wanted;
  gazebo::common::Time stamp;
  std::string pixels;
};
}  // namespace il_ros
