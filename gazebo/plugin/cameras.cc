#include "cameras.hh"

#include <chrono>

#include <gazebo/msgs/msgs.hh>
#include <gazebo/physics/Link.hh>
#include <gazebo/physics/Model.hh>
#include <gazebo/physics/World.hh>
#include <gazebo/rendering/Camera.hh>
#include <gazebo/rendering/Scene.hh>
#include <gazebo/sensors/CameraSensor.hh>
#include <gazebo/sensors/SensorManager.hh>
#include <gazebo/transport/Node.hh>
#include <gazebo/transport/Publisher.hh>

#include "wire.hh"

namespace il_ros
{
using namespace gazebo;

static constexpr int TRIES = 500;  // of 20 ms each

static rendering::CameraPtr FindCamera(const std::string &name)
{
  for (auto const &sensor : sensors::SensorManager::Instance()->GetSensors())
    if (auto camera = std::dynamic_pointer_cast<sensors::CameraSensor>(sensor))
      if (camera->Name() == name)
      {
        if (!camera->Camera()) throw std::runtime_error("Gazebo can't render: is there an X display?");
        return camera->Camera();
      }
  throw std::runtime_error("the world has no camera " + name);
}

bool Cameras::Ready()
{
  for (auto const &sensor : sensors::SensorManager::Instance()->GetSensors())
    if (auto camera = std::dynamic_pointer_cast<sensors::CameraSensor>(sensor))
    {
      if (!camera->Camera() || !camera->Camera()->GetScene()->Initialized()) return false;
      camera->SetActive(false);
    }
  return true;
}

std::string Cameras::Picture(const physics::WorldPtr &world, const std::string &name)
{
  const auto camera = FindCamera(name);
  std::unique_lock<std::mutex> lock(this->mutex);
  this->wanted = camera;
  // Each image has its own stamp, far below a step apart, which identifies the poses that the scene has received.
  this->stamp = world->SimTime() + common::Time(0, 1 + this->pictures++ % 100000);
  for (int k = 0; this->wanted; ++k)
  {
    if (k == TRIES)
    {
      this->wanted.reset();
      throw std::runtime_error("camera " + name + " rendered no image within 10 s");
    }
    lock.unlock();
    this->PublishPoses(world, this->stamp);  // repeatedly: the first messages are lost while the scene connects
    lock.lock();
    this->drawn.wait_for(lock, std::chrono::milliseconds(20), [this]() { return !this->wanted; });
  }
  return std::move(this->pixels);
}

void Cameras::OnRender()
{
  std::lock_guard<std::mutex> lock(this->mutex);
  if (!this->wanted || this->wanted->GetScene()->SimTime() != this->stamp) return;
  this->wanted->Render(true);
  this->wanted->PostRender();
  const uint32_t width = this->wanted->ImageWidth(), height = this->wanted->ImageHeight();
  Body picture;
  picture << width << height;
  picture.Append(this->wanted->ImageData(), size_t(3) * width * height);
  this->pixels = std::move(picture.bytes);
  this->wanted.reset();
  this->drawn.notify_one();
}

void Cameras::PublishPoses(const physics::WorldPtr &world, const common::Time &stamp)
{
  if (!this->publisher)
  {
    this->node.reset(new transport::Node());
    this->node->Init(world->Name());
    this->publisher = this->node->Advertise<msgs::PosesStamped>("~/pose/local/info", 10);
  }
  msgs::PosesStamped message;
  msgs::Set(message.mutable_time(), stamp);
  const auto add = [&message](const physics::EntityPtr &entity)
  {
    auto *pose = message.add_pose();
    pose->set_name(entity->GetScopedName());
    pose->set_id(entity->GetId());
    msgs::Set(pose, entity->RelativePose());
  };
  for (auto const &model : world->Models())
  {
    add(model);
    for (auto const &link : model->GetLinks()) add(link);
  }
  this->publisher->Publish(message);
}
}  // namespace il_ros
