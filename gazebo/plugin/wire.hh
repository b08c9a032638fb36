// Messages on the socket, both ways: u32 length of the rest | u8 kind | body; little-endian, as on x86.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace il_ros
{
class Body  // of an outgoing message
{
 public:
  template <class T> Body &operator<<(const T &value)
  {
    this->bytes.append(reinterpret_cast<const char *>(&value), sizeof(T));
    return *this;
  }

  void Append(const unsigned char *data, size_t size) { this->bytes.append(reinterpret_cast<const char *>(data), size); }

  std::string bytes;
};

class Reader  // of a received message
{
 public:
  explicit Reader(std::string bytes) : bytes(std::move(bytes)) {}

  template <class T> T Get()
  {
    T value;
    std::memcpy(&value, this->Take(sizeof(T)), sizeof(T));
    return value;
  }

  std::string Text()
  {
    const auto size = this->Get<uint8_t>();
    return {this->Take(size), size};
  }

 private:
  const char *Take(size_t size)
  {
    if (this->at + size > this->bytes.size()) throw std::runtime_error("the request is too short");
    this->at += size;
    return this->bytes.data() + this->at - size;
  }

  std::string bytes;
  size_t at = 0;
};

class Channel  // a connected socket; false: the other side has closed it
{
 public:
  explicit Channel(int socket) : socket(socket) {}

  bool Receive(char &kind, std::string &body)
  {
    uint32_t size;
    if (!this->Fill(reinterpret_cast<char *>(&size), sizeof(size)) || size == 0 || size > 1 << 20) return false;
    body.resize(size - 1);
    return this->Fill(&kind, 1) && this->Fill(&body[0], body.size());
  }

  bool Send(char kind, const std::string &body)
  {
    Body head;
    head << static_cast<uint32_t>(body.size() + 1) << kind;
    return this->Write(head.bytes + body);
  }

 private:
  bool Fill(char *to, size_t size)
  {
    while (size > 0)
    {
      const ssize_t got = ::recv(this->socket, to, size, 0);
      if (got <= 0) return false;
      to += got;
      size -= got;
    }
    return true;
  }

  bool Write(const std::string &bytes)
  {
    for (size_t at = 0; at < bytes.size();)
    {
      const ssize_t sent = ::send(this->socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += sent;
    }
    return true;
  }

  int socket;
};
}  // namespace il_ros
